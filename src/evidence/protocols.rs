//! The protocols that sessions are listened to for: one row each.
//!
//! Owns: the two tables, their order, and what follows from them. In: bytes. Out: calls of the
//! parser that a row names. Never: logic of one protocol.
//!
//! The first row that is not refuted counts, even while it is too short to be sure: what a
//! direction is must not depend on where its segments end.

use crate::evidence::app_signatures::AppSignatures;
use crate::evidence::dns::{DnsDatagram, DnsStream};
use crate::evidence::dtls::Dtls;
use crate::evidence::held::Measure;
use crate::evidence::html_title::HtmlTitle;
use crate::evidence::http::{Http, Ssdp};
use crate::evidence::ike::Ike;
use crate::evidence::openvpn::{Openvpn, OpenvpnStream};
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe, Timing};
use crate::evidence::proxy_header::ProxyHeader;
use crate::evidence::quic::Quic;
use crate::evidence::rdp::Rdp;
use crate::evidence::rdp_udp::RdpUdp;
use crate::evidence::request_response_rtt::{Moment, RequestRtt};
use crate::evidence::rfb::Rfb;
use crate::evidence::rustdesk::{RustdeskDatagram, RustdeskStream};
use crate::evidence::socks::Socks;
use crate::evidence::ssh::Ssh;
use crate::evidence::stun::Stun;
use crate::evidence::tls::Tls;
use crate::evidence::udp_pairs::UdpPairs;
use crate::evidence::udp_signatures::UdpSignatures;
use crate::evidence::websocket::Websocket;
use crate::evidence::wireguard::Wireguard;
use crate::model::protocol::Protocol;
use crate::model::record::Facts;
use crate::model::{Heap, Segment};

/// From rows `field = Variant: Parser` makes the enum of a table, what its sessions keep, and the
/// calls that both tables need.
macro_rules! table {
    ($(#[doc = $doc:literal])+ $table:ident, $(#[doc = $kept:literal])+ $states:ident:
        $($field:ident = $row:ident: $parser:ty,)+) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $table { $(#[doc = concat!("Parsed by `", stringify!($parser), "`.")] $row,)+ }

        $(#[doc = $kept])+
        #[derive(Debug, Default)]
        pub(super) struct $states {
            $($field: Option<Box<<$parser as Parser>::State>>,)+
            /// Questions over UDP that wait for their answers.
            rtt: RequestRtt,
        }

        impl Heap for $states {
            fn heap(&self) -> usize {
                self.rtt.heap() $(+ self.$field.heap())+
            }
        }

        impl $states {
            /// Whether nothing in it waits for anything.
            pub(super) fn is_idle(&self) -> bool {
                $(self.$field.as_deref().is_none_or(|state| !<$parser>::is_live(state)))&&+
            }
        }

        impl $table {
            /// The protocol under which faults are counted.
            pub(super) const fn protocol(self) -> Option<Protocol> {
                match self { $($table::$row => <$parser>::PROTOCOL,)+ }
            }

            /// Gives bytes to the parser.
            #[inline]
            pub(super) fn feed(
                self,
                bytes: &[u8],
                context: &mut ParseContext<'_>,
                states: &mut Option<Box<$states>>,
            ) -> ParseResult {
                match self {
                    $($table::$row => {
                        type State = <$parser as Parser>::State;
                        if size_of::<State>() == 0 {
                            <$parser>::feed(&mut State::default(), bytes, context)
                        } else {
                            let states = states.get_or_insert_default();
                            <$parser>::feed(states.$field.get_or_insert_default(), bytes, context)
                        }
                    })+
                }
            }
        }
    };
}

/// What streams need beside that.
macro_rules! streams {
    ($($(#[doc = $doc:literal])+ $name:ident,)+: $($field:ident = $row:ident: $parser:ty,)+) => {
        table! { $($(#[doc = $doc])+ $name),+: $($field = $row: $parser,)+ }

        impl StreamProtocol {
            /// Bytes of a message that may wait for the rest.
            pub(super) const fn held_max(self) -> usize {
                match self { $(StreamProtocol::$row => <$parser>::HELD_MAX,)+ }
            }

            /// What tells that a message is whole.
            pub(super) const fn measure(self) -> Measure {
                match self { $(StreamProtocol::$row => <$parser>::MEASURE,)+ }
            }

            /// Messages of a direction looked at.
            pub(super) const fn messages_max(self) -> u8 {
                match self { $(StreamProtocol::$row => <$parser>::MESSAGES_MAX,)+ }
            }

            /// The first row that bytes may begin like.
            #[inline]
            pub(super) fn probe(
                bytes: &[u8],
                context: &ParseContext<'_>,
                states: Option<&StreamStates>,
            ) -> Option<(StreamProtocol, Probe)> {
                $(
                    let state = states.and_then(|states| states.$field.as_deref());
                    let probe = <$parser>::probe(bytes, &look(context, state));
                    if probe != Probe::No {
                        return Some((StreamProtocol::$row, probe));
                    }
                )+
                None
            }
        }
    };
}

/// What datagrams need beside that.
macro_rules! datagrams {
    ($($(#[doc = $doc:literal])+ $name:ident,)+: $($field:ident = $row:ident: $parser:ty,)+) => {
        table! { $($(#[doc = $doc])+ $name),+: $($field = $row: $parser,)+ }

        impl DatagramProtocol {
            const ALL: &[DatagramProtocol] = &[$(DatagramProtocol::$row,)+];

            /// Datagrams of a direction looked at; 255 for all.
            pub(super) const fn datagrams_max(self) -> u8 {
                match self { $(DatagramProtocol::$row => <$parser>::DATAGRAMS_MAX,)+ }
            }

            /// Whether exchanges are timed.
            pub(super) const fn timing(self) -> Timing {
                match self { $(DatagramProtocol::$row => <$parser>::TIMING,)+ }
            }

            /// The first row whose parser takes a datagram, and what it says.
            pub(super) fn first(
                bytes: &[u8],
                context: &mut ParseContext<'_>,
                states: &mut Option<Box<DatagramStates>>,
            ) -> Option<(DatagramProtocol, ParseResult)> {
                $(
                    let state = states.as_deref().and_then(|states| states.$field.as_deref());
                    if <$parser>::claims(bytes, &look(context, state)) {
                        let result = DatagramProtocol::$row.feed(bytes, context, states);
                        if result != ParseResult::NotMine {
                            return Some((DatagramProtocol::$row, result));
                        }
                    }
                )+
                $(
                    let state = states.as_deref().and_then(|states| states.$field.as_deref());
                    if <$parser>::probe(bytes, &look(context, state)) == Probe::Fits {
                        let result = DatagramProtocol::$row.feed(bytes, context, states);
                        if result != ParseResult::NotMine {
                            return Some((DatagramProtocol::$row, result));
                        }
                    }
                )+
                None
            }

            /// Takes the round trips of a datagram; false once nothing more can be timed.
            pub(super) fn time(
                self,
                segment: &Segment<'_>,
                facts: &mut Facts,
                states: &mut Option<Box<DatagramStates>>,
            ) -> bool {
                let DatagramStates { rtt, $($field,)+ } = &mut **states.get_or_insert_default();
                let mut at = Moment { role: segment.from, time: segment.time, facts };
                let (bytes, ports) = (segment.payload, segment.ports);
                match self {
                    $(DatagramProtocol::$row => {
                        let state = $field.get_or_insert_default();
                        <$parser>::time(state, bytes, ports, rtt, &mut at)
                    })+
                }
            }
        }
    };
}

fn look<'a, S>(context: &'a ParseContext<'_>, state: Option<&'a S>) -> Look<'a, S> {
    let facts = context.facts.as_deref();
    Look { from: context.from, ports: context.ports, facts, state }
}

streams! {
    /// Protocols over TCP, in the order in which they are tried.
    StreamProtocol,
    /// What both directions of a stream have said, by protocol.
    StreamStates,
    :
    tls = Tls: Tls,
    ssh = Ssh: Ssh,
    dns = Dns: DnsStream,
    proxy_header = ProxyHeader: ProxyHeader,
    rfb = Rfb: Rfb,
    rdp = Rdp: Rdp,
    socks = Socks: Socks,
    openvpn = Openvpn: OpenvpnStream,
    websocket = Websocket: Websocket,
    app_signatures = AppSignatures: AppSignatures,
    rustdesk = Rustdesk: RustdeskStream,
    http = Http: Http,
    html_title = HtmlTitle: HtmlTitle,
}

datagrams! {
    /// Protocols over UDP, in the order in which they are tried.
    DatagramProtocol,
    /// What both directions of a session over UDP have said, by protocol.
    DatagramStates,
    :
    rdp = Rdp: RdpUdp,
    signatures = Signatures: UdpSignatures,
    rustdesk = Rustdesk: RustdeskDatagram,
    stun = Stun: Stun,
    dns = Dns: DnsDatagram,
    dtls = Dtls: Dtls,
    ike = Ike: Ike,
    quic = Quic: Quic,
    ssdp = Ssdp: Ssdp,
    wireguard = Wireguard: Wireguard,
    openvpn = Openvpn: Openvpn,
    pairs = Pairs: UdpPairs,
}

/// Some rows of the table of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows(u16);

const _: () = assert!(DatagramProtocol::ALL.len() <= 16, "a bit each");

impl Rows {
    /// Whether there are none.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds a row.
    pub(super) const fn add(&mut self, row: DatagramProtocol) {
        self.0 |= 1 << row as u8;
    }

    /// Takes a row away.
    pub(super) const fn remove(&mut self, row: DatagramProtocol) {
        self.0 &= !(1 << row as u8);
    }

    /// Those that are in it.
    pub(super) fn iter(self) -> impl Iterator<Item = DatagramProtocol> {
        DatagramProtocol::ALL.iter().copied().filter(move |row| self.0 >> *row as u8 & 1 == 1)
    }
}
