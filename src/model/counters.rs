//! Everything that is counted, in one place.
//!
//! Owns: the list of counters and a fixed array of them. In: increments. Out: totals for run.json
//! and the summary. Never: atomics (each thread owns its own array; they are added at the end).

use crate::model::parse_errors::{Fault, ParseErrors};
use crate::model::protocol::Protocol;

/// The kind of a counter: it decides where users see it. Every counter is in run.json `counters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// An amount of work.
    Total,
    /// Excluded on purpose, or counted as its own class: nothing is missing from the results.
    Apart,
    /// Limits how far the measurements can be trusted: the terminal shows it, in these words.
    Quality {
        /// What the number counts, in the terminal.
        words: &'static str,
    },
    /// Data is missing from the results: shown in run.json and health.ndjson under `loss`, in the
    /// terminal under "Lost".
    Loss {
        /// The name under `loss`; counters of one name are added.
        place: &'static str,
        /// What the number counts, in the terminal.
        words: &'static str,
    },
}

/// The kind of a counter, as written in the table below.
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

            /// Its kind, which decides where it is shown.
            pub const fn meaning(self) -> Meaning {
                match self { $(Counter::$variant => meaning!($word $(($($said),+))?),)+ }
            }

            /// The sentence in docs/counters.md.
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
    /// Frames without a time, or with one that the frames around it refute: they move no timer, and
    /// are not used in measurements.
    TimeLeaps = "time_leaps" in "capture",
        quality("frames with no time, or one that others refute");
    /// Frames whose time is an hour or more from that of the frames before them, and too few to
    /// decide which time is right: they move no timer; they may only begin sessions.
    TimesDoubtful = "times_doubtful" in "capture",
        quality("frames of a time that too few others share");
    /// Frames cut by a snap length.
    FramesTruncated = "frames_truncated" in "capture",
        loss("truncated", "frames cut by a snap length");
    /// Frames that the BPF filter left out.
    FramesFiltered = "frames_filtered" in "capture", apart;
    /// Input files opened late because too many overlap in time.
    FilesLate = "files_late" in "capture", quality("files opened late: too many overlap in time");
    /// Times that another file could not be opened because file descriptors, or memory for
    /// decompression, ran out; fewer files are open at once from then on.
    OpensRefused = "opens_refused" in "capture",
        quality("times there was no descriptor or memory for another open file");
    /// Frames dropped by the network card: the kernel's count, or the one in the capture file.
    NicDrops = "nic_drops" in "capture", loss("nic", "frames dropped by the network card");
    /// Frames dropped because the kernel's ring was full: the kernel's count, or the one in the
    /// capture file.
    RingDrops = "ring_drops" in "capture", loss("ring", "frames dropped by the kernel");
    /// Frames lost before a packet according to the capture file (`epb_dropcount`), beyond those in
    /// its interface statistics.
    FramesDropped = "frames_dropped" in "capture",
        loss("file", "frames lost as the file was written");
    /// Times a ring was found full.
    RingFreezes = "ring_freezes" in "capture", quality("times the kernel's ring was full");
    /// Times an interface went down or disappeared.
    InterfaceDowns = "interface_downs" in "capture", quality("times an interface was down");
    /// Outgoing frames of the loopback interface: skipped, since each is also received.
    OutgoingSkipped = "outgoing_skipped" in "capture", apart;
    /// Frames timestamped by the kernel although hardware timestamps were requested.
    StampedInSoftware = "stamped_in_software" in "capture",
        quality("frames not stamped by the card as asked");
    /// VLAN tags that the kernel had removed from frames and that were restored.
    TagsRestored = "tags_restored" in "capture", total;
    /// Frames decoded to a packet.
    Packets = "packets" in "decode", total;
    /// Packets decoded by the general path, not the fast one.
    PacketsSlowPath = "slow_path" in "decode", total;
    /// Packets found inside a tunnel.
    PacketsTunnelled = "tunnelled" in "decode", total;
    /// Frames that carry no IP (ARP, STP, LLDP and the like); not a loss.
    NotIp = "not_ip" in "decode", apart;
    /// Frames whose IP packet follows an unknown tag: their sessions are missing.
    HiddenIp = "hidden_ip" in "decode", loss("decode", "frames with IP behind an unknown tag");
    /// Rejected: the link type is not known.
    RejectLink = "reject_link_type" in "decode", loss("decode", "frames of an unknown link type");
    /// Rejected: a header is longer than the captured bytes.
    RejectShort = "reject_short" in "decode", loss("decode", "frames cut within a header");
    /// Rejected: a header contradicts itself.
    RejectMalformed = "reject_malformed" in "decode", loss("decode", "malformed frames");
    /// Rejected: more nested headers than the limit.
    RejectDepth = "reject_depth" in "decode", loss("decode", "frames nested too deep");
    /// Fragments held until the one with their transport header is whole: it came later, or was too
    /// short.
    FragmentsHeld = "fragments_held" in "decode", apart;
    /// Later fragments with no known first fragment, and held ones that were given up.
    FragmentOrphans = "fragment_orphans" in "decode",
        loss("decode", "fragments without their first");
    /// First fragments evicted at the cap of the table, before their timeout.
    FragmentsEvicted = "fragments_evicted" in "decode",
        loss("fragments", "first fragments over the cap");
    /// Packets excluded as duplicates of another.
    Duplicates = "copies" in "duplicates", apart;
    /// Packets that look like a duplicate but may be a retransmission: kept.
    CopiesDoubtful = "doubtful" in "duplicates", apart;
    /// Packets evicted from the full table while a duplicate of them could still arrive.
    CopiesForgotten = "forgotten" in "duplicates", quality("packets whose duplicates go unseen");
    /// Sessions opened.
    Sessions = "sessions" in "session", total;
    /// Of these, sessions whose line was written.
    SessionsWritten = "written" in "session", total;
    /// Sessions without a line because sessions.ndjson was not requested; endpoints, alerts and
    /// incidents include them.
    SessionsNotAsked = "not_asked" in "session", apart;
    /// Sessions whose lines were lost because the output could not be written.
    SessionsUnsaved = "unsaved" in "session",
        loss("unsaved", "sessions whose line could not be written");
    /// Sessions that were neither written nor counted as dropped: a bug in longhaul if not 0.
    SessionsUnaccounted = "unaccounted" in "session",
        loss("unaccounted", "sessions unaccounted for: a bug in longhaul");
    /// Sessions evicted at the cap of the table, before their timeout.
    SessionsEvicted = "evicted" in "session",
        loss("table", "sessions evicted from the full table");
    /// Unanswered sessions without a line of their own: summed in one line per source and second.
    SessionsSummed = "summed" in "session", apart;
    /// Lines that sum such sessions.
    SummaryLines = "summary_lines" in "session", total;
    /// In a run in sets: sessions of files that this set has read again, or that the next one reads
    /// again, and whose line is in that other set.
    SessionsElsewhere = "elsewhere" in "session", apart;
    /// In a run in sets: sessions open at the end of the last set and not found again, and those
    /// of files that were read again that were not open then and go on in this set's own files.
    SessionsMissed = "missed" in "session",
        loss("sets", "sessions open at the end of a set and not found again");
    /// Out-of-order segments dropped at the cap of a session's buffer.
    SegmentsDropped = "segments_dropped" in "session",
        loss("segments", "segments over a session's buffer");
    /// Sessions whose out-of-order segments and incomplete messages were dropped because the memory
    /// for them was full: those that had waited longest.
    WaitingDropped = "waiting_dropped" in "session",
        loss("waiting", "sessions not parsed further: reassembly memory full");
    /// Sessions whose payload was no longer parsed because the memory for facts was full.
    EvidenceCut = "evidence_cut" in "session",
        loss("evidence", "sessions not parsed further: facts memory full");
    /// RST and FIN segments that do not fit their stream: they end nothing.
    EndsImplausible = "ends_implausible" in "session",
        quality("RST and FIN that do not fit their stream");
    /// SYNs and SYN-ACKs ignored because their session was open already and they do not fit it.
    OpeningsImplausible = "openings_implausible" in "session",
        quality("SYN that do not fit their session");
    /// Sessions inside a tunnel from outside that carry packets of a home host, where nothing
    /// proves that the tunnel exists: no rule judges them.
    Unproven = "unproven" in "session", quality("sessions in unproven tunnels, not judged");
    /// First data whose TTL is too low to reach the server: a server name in it is not used.
    Decoys = "decoys" in "session", quality("segments whose TTL ends before the server");
    /// Datagrams reassembled from IP fragments.
    DatagramsJoined = "datagrams_joined" in "session", total;
    /// Datagrams not read because their fragments overlap or contradict each other (RFC 5722).
    DatagramsOverlapping = "datagrams_overlapping" in "session",
        loss("fragments", "datagrams whose fragments overlap");
    /// Datagrams given up because fragments were missing after 30 s or at the end of the input.
    DatagramsIncomplete = "datagrams_incomplete" in "session",
        loss("fragments", "datagrams with fragments missing");
    /// Incomplete datagrams evicted before their timeout because too many of them, or too many
    /// bytes, waited for fragments.
    DatagramsEvicted = "datagrams_evicted" in "session",
        loss("fragments", "datagrams over the room for fragments");
    /// Fragments that were not reassembled: cut by a snap length, of a tunnel's outer packet,
    /// behind extension headers, or of a datagram given up.
    FragmentsApart = "fragments_apart" in "session",
        loss("fragments", "fragments that were not reassembled");
    /// Bytes known to be missing inside TCP streams.
    GapBytes = "gap_bytes" in "session", loss("gap_bytes", "bytes missing inside TCP streams");
    /// Of these, bytes that the other end acknowledged: the capture lost them, not the network.
    AckedUnseenBytes = "acked_unseen_bytes" in "session",
        loss("capture_bytes", "of these acknowledged: lost by the capture");
    /// TCP sessions with such bytes.
    AckedUnseenSessions = "acked_unseen_sessions" in "session", total;
    /// Frame bytes of ended TCP sessions: the whole of which `acked_unseen_bytes` is a share.
    TcpBytes = "tcp_bytes" in "session", total;
    /// Long sessions that were without updates for a time because the table for them was full.
    SessionsUnwatched = "sessions_unwatched" in "session",
        loss("lasting", "long sessions without updates");
    /// Messages of sessions that last, not compared with others of their host because the cap of
    /// that second was reached.
    BeatsDropped = "beats_dropped" in "session",
        loss("beats", "messages of long sessions over the cap");
    /// Updates of sessions that go on.
    Updates = "updates" in "session", total;
    /// Of these, updates whose line was written.
    UpdatesWritten = "updates_written" in "session", total;
    /// Updates whose line was lost because the output could not be written.
    UpdatesUnsaved = "updates_unsaved" in "session",
        loss("updates", "updates whose line could not be written");
    /// TCP sessions whose round trips were not timed because the pool for that was full.
    SessionsUntimed = "sessions_untimed" in "session",
        loss("untimed", "sessions without round trips: pool full");
    /// Packets of protocols that identify the holder of an address.
    BindingPackets = "overheard" in "identity", total;
    /// Such packets that came from a tunnel from outside and claim a home host as sender: not used,
    /// since anybody may have written them.
    BindingPacketsUnproven = "overheard_unproven" in "identity",
        quality("names of home hosts from unproven tunnels");
    /// Addresses and devices evicted at the cap of the table of names and holders.
    BindingsForgotten = "bindings_forgotten" in "identity",
        loss("bindings", "addresses whose names were forgotten");
    /// DNS, DHCP and log-in requests evicted at the cap before their answer came.
    QuestionsForgotten = "questions_forgotten" in "identity",
        loss("bindings", "questions whose answers cannot count");
    /// Answers with names, addresses, leases or log-ins that are not used because no request was
    /// seen in time: forged, or the request took another path.
    AnswersUnasked = "answers_unasked" in "identity",
        quality("answers without a request");
    /// Names displaced by newer ones: at most four are kept for an address and the host that looked
    /// it up.
    NamesDisplaced = "names_displaced" in "identity",
        quality("names of an address over four a host");
    /// Messages longer than the buffer for messages that span segments.
    MessagesOverCap = "messages_over_cap" in "evidence",
        loss("messages", "messages over their buffer");
    /// Sessions whose payload was no longer parsed because their facts reached the cap of a
    /// session.
    FactsCut = "facts_cut" in "evidence", loss("facts", "sessions over the cap of facts");
    /// Messages that began like a known protocol and did not parse.
    ParseFailures = "parse_failures" in "evidence", quality("messages that did not parse");
    /// Request-response exchanges measured.
    Turns = "turns" in "evidence", total;
    /// Exchanges counted separately because the handshake resumed an earlier session.
    TurnsResumed = "turns_resumed" in "evidence", apart;
    /// Exchanges left out because the client offered early data.
    TurnsEarlyData = "turns_early_data" in "evidence", apart;
    /// Exchanges left out because the server asked for another ClientHello.
    TurnsRetryRequest = "turns_retry_request" in "evidence", apart;
    /// Exchanges counted separately because the client sends a certificate.
    TurnsClientCertificate = "turns_client_certificate" in "evidence", apart;
    /// Exchanges left out because of retransmitted, out-of-order or missing segments.
    TurnsLoss = "turns_loss" in "evidence", apart;
    /// Exchanges left out because the answer came before the request was complete.
    TurnsSplitFlight = "turns_split_flight" in "evidence", apart;
    /// Exchanges left out because the acknowledgement of the question was late too, and came
    /// together with the answer.
    TurnsStalled = "turns_stalled" in "evidence", apart;
    /// Geo or AS database records that could not be read.
    GeoErrors = "geo_errors" in "enrich", loss("lookups", "unreadable database records");
    /// List hits over the cap of a session.
    ListHitsDropped = "list_hits_dropped" in "enrich",
        loss("list_hits", "hits of lists over a session's cap");
    /// Alerts raised.
    Alerts = "alerts" in "detect", total;
    /// Alerts dropped at the cap: those of the lowest level and ratio.
    AlertsDropped = "alerts_dropped" in "detect", loss("alerts", "alerts over the cap");
    /// Alerts merged into an earlier one of the same rule and subject.
    AlertsMerged = "alerts_merged" in "detect", total;
    /// Alerts held back by rules that require several within a day.
    AlertsWaiting = "alerts_waiting" in "detect", total;
    /// Such alerts evicted at the cap before there were enough.
    AlertsForgotten = "alerts_forgotten" in "detect",
        loss("alerts", "alerts held back, over the cap");
    /// Alerts evicted at the cap of those that later ones can be merged into: a repetition raises a
    /// new alert.
    AlertsUnmerged = "alerts_unmerged" in "detect",
        loss("merges", "alerts that repetitions can no longer join");
    /// Events that correlations counted, once for each.
    CorrelationEvents = "correlation_events" in "detect", total;
    /// Groups of correlations evicted at the cap: those of the lowest level, with the fewest
    /// events.
    CorrelationGroupsDropped = "correlation_groups_dropped" in "detect",
        loss("correlations", "groups of correlations over the cap");
    /// Events evicted at the cap of a group: the oldest.
    CorrelationEventsDropped = "correlation_events_dropped" in "detect",
        loss("correlations", "events of correlations over the cap of a group");
    /// Incidents that were opened and closed again while `--learn-only` withheld them.
    IncidentsWithheld = "incidents_withheld" in "detect", total;
    /// Alerts of subjects evicted at the cap (lowest score first): they are in no incident.
    SubjectsDropped = "subjects_dropped" in "detect",
        loss("subjects", "alerts of subjects over the cap");
    /// Incidents dropped at the cap: those of the lowest level and score.
    IncidentsDropped = "incidents_dropped" in "detect", loss("incidents", "incidents over the cap");
    /// Alerts that the incident of their subject does not list: the cap of the rule or of the
    /// incident was reached.
    AlertsUnlisted = "alerts_unlisted" in "detect",
        quality("alerts that their incident does not list");
    /// Endpoints not kept because the cap was reached.
    EndpointsDropped = "endpoints_dropped" in "detect",
        loss("endpoints", "sessions of endpoints over the cap");
    /// Updates of open sessions that do not count for their endpoint, because it has 64 or the cap
    /// was reached: those sessions count when they end.
    EndpointUpdatesDropped = "endpoint_updates_dropped" in "detect",
        loss("endpoint_updates", "open sessions not judged with their endpoint");
    /// Addresses with more than 128 answered lines: these are no one client, and are not pooled
    /// while the span lasts.
    PoolsCrowded = "pools_crowded" in "detect",
        quality("addresses with too many lines to be one client");
    /// Home hosts whose exchanges were forgotten because the cap was reached: those for which least
    /// was found.
    HostsDropped = "hosts_dropped" in "detect",
        loss("hosts", "home hosts not watched for remote control");
    /// Clients of home hosts' services that were forgotten at a cap, those silent for longest, or
    /// not judged because too many waited: their keep-alives were not compared with others'.
    ServiceClientsDropped = "service_clients_dropped" in "detect",
        loss("service_clients", "clients of services whose keep-alives were not compared");
    /// Tags not kept on endpoints: a run keeps at most 128 different ones.
    EndpointTagsDropped = "endpoint_tags_dropped" in "detect",
        loss("tags", "tags of endpoints over the cap");
    /// Addresses outside, and people, that were forgotten at the cap: addresses of one person
    /// first.
    SitesDropped = "sites_dropped" in "detect",
        loss("sites", "people and their addresses over the cap");
    /// Baselines evicted at the cap: those with the fewest days and sessions.
    BaselinesDropped = "baselines_dropped" in "detect", loss("baselines", "baselines over the cap");
    /// Lines of live results that the file system refused: disk full, or an error.
    LinesLost = "lines_lost" in "output", loss("lines", "lines that could not be written");
    /// Messages of a live run that standard error did not take in time: the newest.
    LogLinesLost = "log_lines_lost" in "output",
        loss("log", "messages that standard error did not take in time");
    /// Alerts, incidents and lines of health dropped from the full queue of an output: the least
    /// important ones.
    EventsDropped = "events_dropped" in "output",
        loss("events", "events over the queue of an output");
    /// Events written to the spools of sinks.
    Spooled = "spooled" in "output", total;
    /// Events that no sink's receiver had confirmed when the spool reached its cap, the oldest
    /// first, or that could not be written to it.
    SpoolDropped = "spool_dropped" in "output",
        loss("spools", "events that did not reach their sink");
    /// Bytes of an incomplete entry at the end of the state's journal, left by a killed run and
    /// removed.
    JournalCut = "journal_cut" in "output", quality("bytes of an incomplete journal entry");
    /// Times the state's journal could not be written: alerts up to the next snapshot may be
    /// repeated after a restart.
    JournalFailures = "journal_failures" in "output",
        quality("times the state's journal could not be written");
    /// Live sets finished early because a line could not be written.
    SetsIncomplete = "sets_incomplete" in "output", quality("sets that end early");
    /// Finished live sets removed, the oldest first, to stay within the cap on output.
    SetsRemoved = "sets_removed" in "output", loss("sets", "finished sets removed for --out-max");
    /// Bytes of these sets.
    SetBytesRemoved = "set_bytes_removed" in "output", total;
}

/// The outcomes of a session: each opened session is counted in exactly one of these.
pub const SESSION_OUTCOMES: [Counter; 6] = [
    Counter::SessionsWritten,
    Counter::SessionsSummed,
    Counter::SessionsElsewhere,
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

    /// Counts a parse error, by protocol and kind.
    pub fn note_fault(&mut self, protocol: Option<Protocol>, fault: Fault) {
        self.1.note(protocol, fault);
    }

    /// Parse errors, by protocol and kind.
    pub const fn parse_errors(&self) -> &ParseErrors {
        &self.1
    }

    /// Sets the count of sessions without an outcome. Only for a finished run: an open session has
    /// no outcome yet.
    pub fn account_for_sessions(&mut self) {
        let outcomes = SESSION_OUTCOMES.iter().map(|outcome| self.get(*outcome));
        let accounted = outcomes.fold(0, u64::saturating_add);
        let missing = self.get(Counter::Sessions).saturating_sub(accounted);
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
    fn words_in_the_terminal_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for counter in Counter::ALL {
            if let Meaning::Quality { words } | Meaning::Loss { words, .. } = counter.meaning() {
                assert!(!words.is_empty() && seen.insert(words), "{words} twice");
            }
        }
    }
}
