//! Everything that is counted, in one place.
//!
//! Owns: the list of counters and a fixed array of them. In: increments. Out: totals for run.json
//! and the summary. Never: atomics (each thread owns its own array; they are added at the end).

use crate::model::parse_errors::Fault;
use crate::model::parse_errors::ParseErrors;
use crate::model::protocol::Protocol;

/// What a counter is, and with that where a person sees it. All stand in run.json `counters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// What was done.
    Total,
    /// What was told apart or left out on purpose: nothing is missing for it.
    Apart,
    /// How far what was measured is to be trusted: the terminal says so, in these words.
    Quality {
        /// What the number counts, in the terminal.
        words: &'static str,
    },
    /// Something that was there is missing from the results: run.json and health.ndjson say so
    /// under `loss`, the terminal under "Lost".
    Loss {
        /// The name under `loss`; counters of one name are added.
        place: &'static str,
        /// What the number counts, in the terminal.
        words: &'static str,
    },
}

/// The words by which the table below says what a counter is.
macro_rules! meaning {
    (total) => {
        Meaning::Total
    };
    (apart) => {
        Meaning::Apart
    };
    (quality($words:literal)) => {
        Meaning::Quality { words: $words }
    };
    (loss($place:literal, $words:literal)) => {
        Meaning::Loss { place: $place, words: $words }
    };
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal in $group:literal,
        $word:ident $(($($said:literal),+))?;)+) => {
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

            /// What it is, and with that where it is shown.
            pub const fn meaning(self) -> Meaning {
                match self { $(Counter::$variant => meaning!($word $(($($said),+))?),)+ }
            }

            /// What it counts, in a sentence, for docs/counters.md.
            pub const fn sentence(self) -> &'static str {
                match self { $(Counter::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

counters! {
    /// Frames read from all inputs.
    Frames = "frames" in "capture", total;
    /// Captured bytes of those frames.
    FrameBytes = "bytes" in "capture", total;
    /// Frames whose time was earlier than the clock of the run.
    TimeBackwards = "time_backwards" in "capture", quality("frames with a time that steps back");
    /// Frames without a time, or with one that those around it refute: they move no timer, and
    /// nothing is measured by them.
    TimeLeaps = "time_leaps" in "capture",
        quality("frames with no time, or one that others refute");
    /// Frames an hour or more away from those before them, or a stretch of them behind, with too
    /// few to tell which are right: they move no timer, and begin sessions only.
    TimesDoubtful = "times_doubtful" in "capture",
        quality("frames of a time that too few others share");
    /// Frames cut by a snap length.
    FramesTruncated = "frames_truncated" in "capture",
        loss("truncated", "frames cut by a snap length");
    /// Frames that the BPF filter left out.
    FramesFiltered = "frames_filtered" in "capture", apart;
    /// Input files opened late because too many overlap in time.
    FilesLate = "files_late" in "capture", quality("files opened late: too many overlap in time");
    /// Times there was no descriptor, or no memory to unpack it, for another open file; fewer were
    /// held open from then on.
    OpensRefused = "opens_refused" in "capture",
        quality("times there was no descriptor or memory for another open file");
    /// Frames that an interface's card lost, or that a capture file says it lost.
    NicDrops = "nic_drops" in "capture", loss("nic", "frames dropped by the network card");
    /// Frames that found the kernel's ring full, or that a capture file says the system lost.
    RingDrops = "ring_drops" in "capture", loss("ring", "frames dropped by the kernel");
    /// Frames that a capture file says were lost before others, and no number of its interfaces
    /// has.
    FramesDropped = "frames_dropped" in "capture",
        loss("file", "frames lost as the file was written");
    /// Times a ring was found full.
    RingFreezes = "ring_freezes" in "capture", quality("times the kernel's ring was full");
    /// Times an interface went down or away.
    InterfaceDowns = "interface_downs" in "capture", quality("times an interface was down");
    /// Frames of the loopback interface left out on their way out: each comes in again.
    OutgoingSkipped = "outgoing_skipped" in "capture", apart;
    /// Frames stamped by the kernel although the card was to do it.
    StampedInSoftware = "stamped_in_software" in "capture",
        quality("frames not stamped by the card as asked");
    /// VLAN tags that the kernel had taken out of frames and that were put back.
    TagsRestored = "tags_restored" in "capture", total;
    /// Frames decoded to a packet.
    Packets = "packets" in "decode", total;
    /// Packets decoded by the general path, not the fast one.
    PacketsSlowPath = "slow_path" in "decode", total;
    /// Packets found inside a tunnel.
    PacketsTunnelled = "tunnelled" in "decode", total;
    /// Frames that carry no IP (ARP, STP, LLDP and the like); not a loss.
    NotIp = "not_ip" in "decode", apart;
    /// Frames whose IP packet stands behind a tag that is not known: sessions are missing.
    HiddenIp = "hidden_ip" in "decode", loss("decode", "frames with IP behind an unknown tag");
    /// Rejected: the link type is not known.
    RejectLink = "reject_link_type" in "decode", loss("decode", "frames of an unknown link type");
    /// Rejected: a header is longer than the captured bytes.
    RejectShort = "reject_short" in "decode", loss("decode", "frames cut within a header");
    /// Rejected: a header contradicts itself.
    RejectMalformed = "reject_malformed" in "decode", loss("decode", "malformed frames");
    /// Rejected: more nested headers than the limit.
    RejectDepth = "reject_depth" in "decode", loss("decode", "frames nested too deep");
    /// Later fragments with no known first fragment.
    FragmentOrphans = "fragment_orphans" in "decode",
        loss("decode", "fragments without their first");
    /// First fragments forgotten at the cap of the table, before their time.
    FragmentsEvicted = "fragments_evicted" in "decode",
        loss("fragments", "first fragments over the cap");
    /// Packets left out as copies of another.
    Duplicates = "copies" in "duplicates", apart;
    /// Packets that look like a copy and may have been sent again: kept.
    CopiesDoubtful = "doubtful" in "duplicates", apart;
    /// Packets forgotten before a copy of them could no longer come: the table was too small.
    CopiesForgotten = "forgotten" in "duplicates", quality("packets whose copies cannot be told");
    /// Sessions opened.
    Sessions = "sessions" in "session", total;
    /// Of these, sessions whose line was written.
    SessionsWritten = "written" in "session", total;
    /// Sessions whose lines nobody had asked for; everything else was made of them.
    SessionsNotAsked = "not_asked" in "session", apart;
    /// Sessions whose lines were lost because the output could not be written.
    SessionsUnsaved = "unsaved" in "session",
        loss("unsaved", "sessions whose line could not be written");
    /// Sessions of which nothing tells where they went: a fault of longhaul, if not 0.
    SessionsUnaccounted = "unaccounted" in "session",
        loss("unaccounted", "sessions that went nowhere: a fault of longhaul");
    /// Sessions pushed out at the cap of the table, before their time.
    SessionsEvicted = "evicted" in "session",
        loss("table", "sessions pushed out of the full table");
    /// Unanswered sessions without a line of their own: one of their source and second sums them.
    SessionsSummed = "summed" in "session", apart;
    /// Lines that sum such sessions.
    SummaryLines = "summary_lines" in "session", total;
    /// Out-of-order segments dropped at the cap of a session's buffer.
    SegmentsDropped = "segments_dropped" in "session",
        loss("segments", "segments over a session's buffer");
    /// Sessions whose early segments and unfinished messages were let go because all the memory for
    /// what waits was taken: they had waited longest.
    WaitingDropped = "waiting_dropped" in "session",
        loss("waiting", "sessions cut while they waited for more");
    /// Sessions that were not listened to any longer because all the memory for what sessions say
    /// was taken.
    EvidenceCut = "evidence_cut" in "session",
        loss("evidence", "sessions cut for want of memory");
    /// RST and FIN segments that do not fit their stream: they end nothing.
    EndsImplausible = "ends_implausible" in "session",
        quality("RST and FIN that do not fit their stream");
    /// SYNs and SYN-ACKs ignored because their session was open already and they do not fit it.
    OpeningsImplausible = "openings_implausible" in "session",
        quality("SYN that do not fit their session");
    /// Sessions that came out of a tunnel from outside, with packets of a home host, where nothing
    /// shows that there is such a tunnel: no rule judges them.
    Unproven = "unproven" in "session", quality("sessions in strangers' tunnels, not judged");
    /// First data whose time to live is too low to have reached the server: it names nothing.
    Decoys = "decoys" in "session", quality("segments sent to die on their way");
    /// Datagrams put together from their IP fragments.
    DatagramsJoined = "datagrams_joined" in "session", total;
    /// Datagrams not read because their fragments overlap or contradict each other (RFC 5722).
    DatagramsOverlapping = "datagrams_overlapping" in "session",
        loss("fragments", "datagrams whose fragments overlap");
    /// Datagrams given up because fragments were missing after 30 s or at the end of the input.
    DatagramsIncomplete = "datagrams_incomplete" in "session",
        loss("fragments", "datagrams with fragments missing");
    /// Datagrams given up before their time because too many or too much waited for fragments.
    DatagramsEvicted = "datagrams_evicted" in "session",
        loss("fragments", "datagrams over the room for fragments");
    /// Fragments with no place in a datagram: cut by a snap length, of a tunnel's own packet,
    /// behind extension headers, or of a datagram given up.
    FragmentsApart = "fragments_apart" in "session",
        loss("fragments", "fragments with no place in a datagram");
    /// Bytes known to be missing inside TCP streams.
    GapBytes = "gap_bytes" in "session", loss("gap_bytes", "bytes missing inside TCP streams");
    /// Of these, bytes that the other end acknowledged: the capture lost them, not the network.
    AckedUnseenBytes = "acked_unseen_bytes" in "session",
        loss("capture_bytes", "of these acknowledged: lost by the capture");
    /// TCP sessions with such bytes.
    AckedUnseenSessions = "acked_unseen_sessions" in "session", total;
    /// Frame bytes of TCP sessions that are over: what these are a share of.
    TcpBytes = "tcp_bytes" in "session", total;
    /// Sessions that last, of which nothing is told before their end because the room for those was
    /// taken.
    SessionsUnwatched = "sessions_unwatched" in "session",
        loss("lasting", "sessions over the room for those that last");
    /// Seconds of hosts of which nothing is kept because the room for those of a second was taken.
    BeatsDropped = "beats_dropped" in "session", loss("beats", "host-seconds over the cap");
    /// Updates of sessions that go on.
    Updates = "updates" in "session", total;
    /// Of these, updates whose line was written.
    UpdatesWritten = "updates_written" in "session", total;
    /// Updates whose line was lost because the output could not be written.
    UpdatesUnsaved = "updates_unsaved" in "session",
        loss("updates", "updates whose line could not be written");
    /// TCP sessions whose round trips were not timed because the room for that was taken.
    SessionsUntimed = "sessions_untimed" in "session",
        loss("untimed", "sessions over the room for round trips");
    /// Packets looked at because they may say who is behind an address.
    Overheard = "overheard" in "identity", total;
    /// Packets of the same kind that came out of a tunnel from outside and claimed to be sent by a
    /// home host: anybody may have written them.
    OverheardUnproven = "overheard_unproven" in "identity",
        quality("names of home hosts told in strangers' tunnels");
    /// Addresses and devices forgotten at the cap of what is known of them.
    BindingsForgotten = "bindings_forgotten" in "identity",
        loss("bindings", "addresses whose names were forgotten");
    /// Questions for names, addresses and log-ins forgotten at the cap before their answer came.
    QuestionsForgotten = "questions_forgotten" in "identity",
        loss("bindings", "questions whose answers cannot count");
    /// Answers with names, addresses, leases and log-ins that are not believed, for nobody was
    /// heard to ask in time: forged, or the question went another way.
    AnswersUnasked = "answers_unasked" in "identity",
        quality("answers that nobody was heard to ask for");
    /// Names over the four that are kept of what one host was told of one address: the one told
    /// longest ago went.
    NamesDisplaced = "names_displaced" in "identity",
        quality("names of an address over four a host");
    /// Messages longer than the buffer for straddling messages.
    MessagesOverCap = "messages_over_cap" in "evidence",
        loss("messages", "messages over their buffer");
    /// Sessions that were not listened to any longer because what they said had its fill of bytes.
    FactsCut = "facts_cut" in "evidence", loss("facts", "sessions that said too much to keep");
    /// Bytes that began like a known protocol and did not parse.
    ParseFailures = "parse_failures" in "evidence", quality("messages that did not parse");
    /// Exchanges that forced an end to answer, measured.
    Turns = "turns" in "evidence", total;
    /// Exchanges apart because the handshake resumed an earlier session.
    TurnsResumed = "turns_resumed" in "evidence", apart;
    /// Exchanges left out because the client offered early data.
    TurnsEarlyData = "turns_early_data" in "evidence", apart;
    /// Exchanges left out because the server asked for another ClientHello.
    TurnsRetryRequest = "turns_retry_request" in "evidence", apart;
    /// Exchanges apart because the client proves who it is.
    TurnsClientCertificate = "turns_client_certificate" in "evidence", apart;
    /// Exchanges left out because something was sent again, early or missing meanwhile.
    TurnsLoss = "turns_loss" in "evidence", apart;
    /// Exchanges left out because their answer came before it can have been asked for.
    TurnsSplitFlight = "turns_split_flight" in "evidence", apart;
    /// Geo or AS database records that could not be read.
    GeoErrors = "geo_errors" in "enrich", loss("lookups", "unreadable database records");
    /// Hits of list entries past the cap of a session.
    ListHitsDropped = "list_hits_dropped" in "enrich",
        loss("list_hits", "hits of lists over a session's cap");
    /// Alerts raised.
    Alerts = "alerts" in "detect", total;
    /// Alerts dropped at the cap: those of the lowest level and weight.
    AlertsDropped = "alerts_dropped" in "detect", loss("alerts", "alerts over the cap");
    /// Alerts added to an earlier one of the same rule and subject that says the same.
    AlertsMerged = "alerts_merged" in "detect", total;
    /// Alerts of rules that ask for several within a day, while there were too few.
    AlertsWaiting = "alerts_waiting" in "detect", total;
    /// Alerts of such rules that were forgotten at the cap, before there were enough.
    AlertsForgotten = "alerts_forgotten" in "detect",
        loss("alerts", "alerts that waited for more, over the cap");
    /// Alerts forgotten at the cap of those that repetitions are added to: one that repeats them is
    /// told anew.
    AlertsUnmerged = "alerts_unmerged" in "detect",
        loss("merges", "alerts whose repetitions are told anew");
    /// Alerts of subjects forgotten at the cap, those that say least: they add to no incident.
    SubjectsDropped = "subjects_dropped" in "detect",
        loss("subjects", "alerts of subjects over the cap");
    /// Incidents dropped at the cap: those of the lowest level and score.
    IncidentsDropped = "incidents_dropped" in "detect", loss("incidents", "incidents over the cap");
    /// Alerts that no incident of their subject would list: the rule, or the incident, has its
    /// fill.
    AlertsUnlisted = "alerts_unlisted" in "detect",
        quality("alerts that their incident does not list");
    /// Endpoints not kept because the cap was reached.
    EndpointsDropped = "endpoints_dropped" in "detect",
        loss("endpoints", "sessions of endpoints over the cap");
    /// Tags not kept on endpoints because a run may use at most 128 different ones there.
    EndpointTagsDropped = "endpoint_tags_dropped" in "detect",
        loss("tags", "tags of endpoints over the cap");
    /// Baselines given up because the cap was reached: those of fewest days and sessions.
    BaselinesDropped = "baselines_dropped" in "detect", loss("baselines", "baselines over the cap");
    /// Lines of live results that were not written because their file system would not take them.
    LinesLost = "lines_lost" in "output", loss("lines", "lines that could not be written");
    /// Alerts, incidents and lines of health that an output could not take for so long that its
    /// queue was full: those worth least.
    EventsDropped = "events_dropped" in "output",
        loss("events", "events over the queue of an output");
    /// Bytes at the end of the state's journal that a killed run left half written; they are cut
    /// off.
    JournalCut = "journal_cut" in "output", quality("bytes of the state left half written");
    /// Times the state's journal could not be written: what is told until the next snapshot may be
    /// told again after a restart.
    JournalFailures = "journal_failures" in "output",
        quality("times the state's journal could not be written");
    /// Live sets that end early because a line could not be written.
    SetsIncomplete = "sets_incomplete" in "output", quality("sets that end early");
    /// Finished live sets removed, the oldest first, to stay within the cap on output.
    SetsRemoved = "sets_removed" in "output", loss("sets", "finished sets removed for --out-max");
    /// What these held.
    SetBytesRemoved = "set_bytes_removed" in "output", total;
}

/// What becomes of sessions: each that was opened meets one of these.
pub const SESSION_FATES: [Counter; 5] = [
    Counter::SessionsWritten,
    Counter::SessionsSummed,
    Counter::SessionsNotAsked,
    Counter::SessionsUnsaved,
    Counter::SessionsUnaccounted,
];

/// A full set of counters, owned by one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Counter::ALL.len()], ParseErrors);

impl Default for Counters {
    fn default() -> Counters {
        Counters([0; Counter::ALL.len()], ParseErrors::default())
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
        self.1.merge(&other.1);
    }

    /// Counts what did not parse, by protocol and kind.
    pub fn note_fault(&mut self, protocol: Option<Protocol>, fault: Fault) {
        self.1.note(protocol, fault);
    }

    /// What did not parse, by protocol and kind.
    pub const fn parse_errors(&self) -> &ParseErrors {
        &self.1
    }

    /// Says how many sessions were opened and met no known fate. Of a run that is over only: a
    /// session that is open has none yet.
    pub fn account_for_sessions(&mut self) {
        let met = SESSION_FATES.iter().map(|fate| self.get(*fate)).fold(0, u64::saturating_add);
        let missing = self.get(Counter::Sessions).saturating_sub(met);
        self.add(Counter::SessionsUnaccounted, missing);
    }

    /// What has been added since this set was `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Counters) -> Counters {
        let mut more = self.clone();
        for (mine, theirs) in more.0.iter_mut().zip(earlier.0.iter()) {
            *mine = mine.saturating_sub(*theirs);
        }
        more.1.less(&earlier.1);
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

    #[test]
    fn no_two_counters_are_the_same_to_a_person() {
        let mut seen = std::collections::HashSet::new();
        for counter in Counter::ALL {
            if let Meaning::Quality { words } | Meaning::Loss { words, .. } = counter.meaning() {
                assert!(!words.is_empty() && seen.insert(words), "{words} twice");
            }
        }
    }
}
