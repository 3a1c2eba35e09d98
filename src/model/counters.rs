//! Everything that is counted, in one place.
//!
//! Owns: the list of counters and a fixed array of them. In: increments. Out: totals for run.json
//! and the summary. Never: atomics (each thread owns its own array; they are added at the end).

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal in $group:literal;)+) => {
        /// One thing that is counted. The order is the order of output.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)+ }

        impl Counter {
            /// Every counter, in order.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)+];

            /// The name in run.json.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)+ }
            }

            /// The place where a loss happens, or the stage a total belongs to; run.json groups by
            /// it.
            pub const fn group(self) -> &'static str {
                match self { $(Counter::$variant => $group,)+ }
            }
        }
    };
}

counters! {
    /// Frames read from all inputs.
    Frames = "frames" in "capture";
    /// Captured bytes of those frames.
    FrameBytes = "bytes" in "capture";
    /// Frames whose time was earlier than the clock of the run.
    TimeBackwards = "time_backwards" in "capture";
    /// Frames dated further ahead than any session may be silent, which the next frame did not bear
    /// out: they move no timer.
    TimeLeaps = "time_leaps" in "capture";
    /// Frames cut by a snap length.
    FramesTruncated = "frames_truncated" in "capture";
    /// Frames that the BPF filter left out.
    FramesFiltered = "frames_filtered" in "capture";
    /// Input files opened late because too many overlap in time.
    FilesLate = "files_late" in "capture";
    /// Times the system refused another open file; fewer were held open from then on.
    OpensRefused = "opens_refused" in "capture";
    /// Frames that an interface's card lost.
    NicDrops = "nic_drops" in "capture";
    /// Frames that found the kernel's ring full.
    RingDrops = "ring_drops" in "capture";
    /// Times a ring was found full.
    RingFreezes = "ring_freezes" in "capture";
    /// Times an interface went down or away.
    InterfaceDowns = "interface_downs" in "capture";
    /// Frames of the loopback interface left out on their way out: each comes in again.
    OutgoingSkipped = "outgoing_skipped" in "capture";
    /// Frames stamped by the kernel although the card was to do it.
    StampedInSoftware = "stamped_in_software" in "capture";
    /// VLAN tags that the kernel had taken out of frames and that were put back.
    TagsRestored = "tags_restored" in "capture";
    /// Frames decoded to a packet.
    Packets = "packets" in "decode";
    /// Packets decoded by the general path, not the fast one.
    PacketsSlowPath = "slow_path" in "decode";
    /// Packets found inside a tunnel.
    PacketsTunnelled = "tunnelled" in "decode";
    /// Frames that carry no IP (ARP, STP, LLDP and the like); not a loss.
    NotIp = "not_ip" in "decode";
    /// Rejected: the link type is not known.
    RejectLink = "reject_link_type" in "decode";
    /// Rejected: a header is longer than the captured bytes.
    RejectShort = "reject_short" in "decode";
    /// Rejected: a header contradicts itself.
    RejectMalformed = "reject_malformed" in "decode";
    /// Rejected: more nested headers than the limit.
    RejectDepth = "reject_depth" in "decode";
    /// Later fragments with no known first fragment.
    FragmentOrphans = "fragment_orphans" in "decode";
    /// First fragments forgotten at the cap of the table, before their time.
    FragmentsEvicted = "fragments_evicted" in "decode";
    /// Packets left out as copies of another.
    Copies = "copies" in "duplicates";
    /// Packets that look like a copy and may have been sent again: kept.
    CopiesDoubtful = "doubtful" in "duplicates";
    /// Packets forgotten before a copy of them could no longer come: the table was too small.
    CopiesForgotten = "forgotten" in "duplicates";
    /// Sessions opened.
    Sessions = "sessions" in "session";
    /// Sessions pushed out at the cap of the table, before their time.
    SessionsEvicted = "evicted" in "session";
    /// Out-of-order segments dropped at the cap of a session's buffer.
    SegmentsDropped = "segments_dropped" in "session";
    /// RST and FIN segments that do not fit their stream: they end nothing.
    EndsImplausible = "ends_implausible" in "session";
    /// SYNs and SYN-ACKs ignored because their session was open already and they do not fit it.
    OpeningsImplausible = "openings_implausible" in "session";
    /// Datagrams put together from their IP fragments.
    DatagramsJoined = "datagrams_joined" in "session";
    /// Datagrams not read because their fragments overlap or contradict each other (RFC 5722).
    DatagramsOverlapping = "datagrams_overlapping" in "session";
    /// Datagrams given up because fragments were missing after 30 s or at the end of the input.
    DatagramsIncomplete = "datagrams_incomplete" in "session";
    /// Datagrams given up before their time because too many or too much waited for fragments.
    DatagramsEvicted = "datagrams_evicted" in "session";
    /// Fragments with no place in a datagram: cut by a snap length, of a tunnel's own packet,
    /// behind extension headers, or of a datagram given up.
    FragmentsApart = "fragments_apart" in "session";
    /// Bytes known to be missing inside TCP streams.
    GapBytes = "gap_bytes" in "session";
    /// Of these, bytes that the other end acknowledged: the capture lost them, not the network.
    AckedUnseenBytes = "acked_unseen_bytes" in "session";
    /// TCP sessions with such bytes.
    AckedUnseenSessions = "acked_unseen_sessions" in "session";
    /// Frame bytes of TCP sessions that are over: what these are a share of.
    TcpBytes = "tcp_bytes" in "session";
    /// TCP sessions whose round trips were not timed because the room for that was taken.
    SessionsUntimed = "sessions_untimed" in "session";
    /// Packets that every worker heard because they may say who is behind an address.
    Overheard = "overheard" in "identity";
    /// Addresses and devices forgotten at the cap of what is known of them.
    BindingsForgotten = "bindings_forgotten" in "identity";
    /// Messages longer than the buffer for straddling messages.
    MessagesOverCap = "messages_over_cap" in "evidence";
    /// Bytes that began like a known protocol and did not parse.
    ParseFailures = "parse_failures" in "evidence";
    /// Exchanges that forced an end to answer, measured.
    Turns = "turns" in "evidence";
    /// Exchanges apart because the handshake resumed an earlier session.
    TurnsResumed = "turns_resumed" in "evidence";
    /// Exchanges left out because the client offered early data.
    TurnsEarlyData = "turns_early_data" in "evidence";
    /// Exchanges left out because the server asked for another ClientHello.
    TurnsRetryRequest = "turns_retry_request" in "evidence";
    /// Exchanges apart because the client proves who it is.
    TurnsClientCertificate = "turns_client_certificate" in "evidence";
    /// Exchanges left out because something was sent again, early or missing meanwhile.
    TurnsLoss = "turns_loss" in "evidence";
    /// Exchanges left out because their answer came before it can have been asked for.
    TurnsSplitFlight = "turns_split_flight" in "evidence";
    /// Geo or AS database records that could not be read.
    GeoErrors = "geo_errors" in "enrich";
    /// Hits of list entries past the cap of a session.
    ListHitsDropped = "list_hits_dropped" in "enrich";
    /// Alerts raised.
    Alerts = "alerts" in "detect";
    /// Alerts not kept because the cap was reached.
    AlertsDropped = "alerts_dropped" in "detect";
    /// Alerts added to an earlier one of the same rule and subject that says the same.
    AlertsMerged = "alerts_merged" in "detect";
    /// Alerts of rules that ask for several within a day, while there were too few.
    AlertsWaiting = "alerts_waiting" in "detect";
    /// Alerts that stand alone because there was no room to remember what they repeat.
    AlertsUnmerged = "alerts_unmerged" in "detect";
    /// Subjects whose alerts were not correlated because the cap was reached.
    SubjectsDropped = "subjects_dropped" in "detect";
    /// Incidents not kept because the cap was reached.
    IncidentsDropped = "incidents_dropped" in "detect";
    /// Alerts that no incident of their subject would list: the rule, or the incident, has its
    /// fill.
    AlertsUnlisted = "alerts_unlisted" in "detect";
    /// Endpoints not kept because the cap was reached.
    EndpointsDropped = "endpoints_dropped" in "detect";
    /// Tags not kept on endpoints because a run may use at most 128 different ones there.
    EndpointTagsDropped = "endpoint_tags_dropped" in "detect";
    /// Baselines given up because the cap was reached: those of fewest days and sessions.
    BaselinesDropped = "baselines_dropped" in "detect";
}

/// A full set of counters, owned by one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Counters {
        Counters([0; Counter::ALL.len()])
    }
}

impl Counters {
    /// Adds one.
    pub fn bump(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `n` (saturating).
    pub fn add(&mut self, counter: Counter, n: u64) {
        if let Some(slot) = self.0.get_mut(counter as usize) {
            *slot = slot.saturating_add(n);
        }
    }

    /// The present value.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or(0)
    }

    /// Adds another thread's set to this one.
    pub fn merge(&mut self, other: &Counters) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0.iter()) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// What has been added since this set was `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Counters) -> Counters {
        let mut more = self.clone();
        for (mine, theirs) in more.0.iter_mut().zip(earlier.0.iter()) {
            *mine = mine.saturating_sub(*theirs);
        }
        more
    }

    /// Name, group and value of each counter, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|c| (*c, self.get(*c)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_within_their_group() {
        let mut seen = std::collections::HashSet::new();
        for c in Counter::ALL {
            assert!(seen.insert((c.group(), c.name())), "{} twice in {}", c.name(), c.group());
        }
    }
}
