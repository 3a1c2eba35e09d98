//! Records for the tests of this stage.
//!
//! Owns: one record of each kind. In: nothing. Out: records. Never: built into the program.

use std::sync::Arc;

use crate::emit::Origin;
use crate::model::latency::{Methods, RoundTrips};
use crate::model::physics::{Claim, Claims};
use crate::model::record::Subject;
use crate::model::record::*;
use crate::model::{Addr, Nanos, Transport};

fn party(ip: Addr, port: u16) -> Party {
    Party {
        ip,
        port,
        mac: None,
        bytes: 0,
        packets: 0,
        ttl: None,
        place: None,
        asn: None,
        behind: None,
        longest: None,
        path: None,
    }
}

/// A sensor with two input files; the name of the second needs an escape.
pub fn origin() -> Origin {
    Origin::new("longhaul", ["a.pcap".as_ref(), "b\".pcap".as_ref()])
}

/// A record with the mandatory parts only.
pub fn bare_record() -> Record {
    Record {
        at: Nanos(1_703_593_377_933_911_008),
        start: Nanos(1_703_593_377_933_911_008),
        end: Nanos(1_703_593_378_000_000_000),
        state: SessionState::Opened,
        transport: Transport::UDP,
        version: 4,
        vlan: None,
        id: [0; 16],
        point: 0,
        initiator: party(Addr::v4([10, 0, 0, 7]), 5353),
        responder: party(Addr::v4([224, 0, 0, 251]), 5353),
        near: Leg::default(),
        far: Leg::default(),
        syn: None,
        quality: Quality::default(),
        facts: Facts::default(),
        context: Context::default(),
        file: 0,
        frame_first: 1,
        frame_last: 1,
        twin: 0,
        doubtful: false,
        activity: None,
        interaction: None,
        remote_control: None,
        update: None,
        grain: crate::model::Grain::default(),
    }
}

fn place(country: &str, region: &str, location: (f64, f64)) -> Option<Arc<Place>> {
    Some(Arc::new(Place {
        cached: Default::default(),
        country: Some(country.into()),
        region: Some(region.into()),
        location: Some(location),
        radius_km: Some(100.0),
    }))
}

fn asn(number: u32, name: &str) -> Option<Arc<AutonomousSystem>> {
    Some(Arc::new(AutonomousSystem {
        number,
        organization: Some(name.into()),
        cached: Default::default(),
    }))
}

/// A TLS session of a browser, with every enrichment.
pub fn tls_record() -> Record {
    let mut record = bare_record();
    record.state = SessionState::Closed;
    record.transport = Transport::TCP;
    record.end = record.start.plus(Nanos(1_250_000_001));
    record.initiator = Party {
        mac: Some([0x00, 0x00, 0x5e, 0x00, 0x53, 0xaf]),
        bytes: 5_321,
        packets: 23,
        ttl: Some(64),
        ..party(Addr::v4([192, 168, 1, 187]), 54_164)
    };
    record.responder = Party {
        mac: Some([0x00, 0x00, 0x5e, 0x00, 0x53, 0x01]),
        bytes: 123_456,
        packets: 98,
        ttl: Some(57),
        place: place("US", "US-WA", (47.6, -122.3321)),
        asn: asn(64_500, "Example \"Transit\" Inc."),
        ..party(Addr::v4([203, 0, 113, 80]), 443)
    };
    record.near = Leg { handshake_ns: Some(190_902), ..Leg::default() };
    record.far = Leg {
        handshake_ns: Some(18_491_000),
        in_session: Some(RoundTrips {
            min_ns: 18_302_117,
            p50_ns: 18_655_000,
            p95_ns: 58_000_420,
            samples: 41,
            methods: Methods(Methods::TIMESTAMP | Methods::ACKNOWLEDGEMENT),
        }),
    };
    record.syn = Some(SynFacts {
        mss: Some(1_460),
        mtu_hint: Some(1_500),
        window_scale: Some(7),
        window: 64_240,
        timestamps: true,
        os_hint: Some("linux"),
    });
    record.facts.protocol = Some(Protocol::Tls);
    record.facts.tls = Some(Box::new(tls_facts()));
    record.context = context();
    record.frame_first = 26;
    record.frame_last = 480;
    record
}

fn tls_facts() -> TlsFacts {
    TlsFacts {
        server_name: Some("www.example.com".into()),
        alpn: vec!["h2".into(), "http/1.1".into()],
        alpn_chosen: Some("h2".into()),
        ja3: Some([0x3f; 16]),
        ja3s: Some([0xe1; 16]),
        ja4: Some("t13d1516h2_8daaf6152771_02713d6af862".into()),
        version: Some(0x0304),
        version_offered: Some(0x0304),
        ciphers: vec![
            0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
            0x009c, 0x009d, 0x002f, 0x0035,
        ],
        cipher: Some(0x1301),
        resumed: Some(false),
        ..TlsFacts::default()
    }
}

fn hit(tag: &str) -> ListHit {
    ListHit { list: 0, tag: tag.into(), entry: "203.0.113.0/24".into(), on: "destination.ip" }
}

fn context() -> Context {
    Context {
        community_id: Some([7; 20]),
        direction: Direction::Outbound,
        application: Some("anydesk".into()),
        application_reason: Some("sni"),
        application_approved: false,
        hits: vec![hit("vpn:astrill"), hit("hosting"), hit("vpn:astrill")],
        physics: Some(Physics {
            km_max_fibre: 1_847.8,
            km_max_real: 1_231.9,
            km_max_vacuum: 2_771.8,
            claim_km: Some(12.25),
            claim_of: Some(Claim::Subject),
            geo_km: Some(1_900.5),
            verdict: PhysicsVerdict::Possible,
            refuted: Claims::default(),
            doubtful: Claims::default().with(Claim::Geo),
            claimed: None,
            region: None,
            withheld_by: None,
        }),
        subject: Some(Subject::Named("192.168.1.187".into())),
        subject_name: None,
        subject_role: Some("contractor".into()),
        subject_hired: Some("2026-01-05".into()),
        subject_claim: None,
        responder_subject: None,
        holder: Some(Arc::new(Holder {
            mac: Some([0x00, 0x00, 0x5e, 0x00, 0x53, 0x07]),
            host: Some("lab-pc7".into()),
            user: Some("jdoe".into()),
            from: None,
            named_by: NameSources::of("dhcp").with(NameSources::of("mdns")),
            known_by: vec!["dhcp", "kerberos"],
        })),
        responder_name: Some("relay.example.net".into()),
        arp_senders: 0,
        contradicted_name: Some("www.example.net".into()),
    }
}

/// DNS, SSH and HTTP facts with text that must be escaped.
pub fn nasty_record() -> Record {
    let mut record = bare_record();
    record.vlan = Some(4_094);
    record.version = 6;
    record.initiator.ip = Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    record.facts.protocol = Some(Protocol::Dns);
    record.facts.dns = Some(Box::new(DnsFacts {
        additional: Vec::new(),
        name: Some("a\"},\\\u{1}\u{7f}\u{2028}é.example".into()),
        qtype: 65,
        more_names: vec!["b.example".into()],
        answers: vec![(1, "192.0.2.1".into()), (65_280, "\\# 1 00".into())],
        rcode: Some(3),
        questions: 2,
        responses: 1,
        ..DnsFacts::default()
    }));
    record.facts.ssh = Some(Box::new(SshFacts {
        client: Some("SSH-2.0-OpenSSH_9.6 \u{0}\r\n".into()),
        hassh: Some([0xab; 16]),
        ..SshFacts::default()
    }));
    record.facts.rare_mut().stun = Some(Box::new(StunFacts {
        mapped: vec!["203.0.113.9".into()],
        peers: vec!["198.51.100.4".into(), "2001:db8::7".into()],
        checks: 3,
        goog_pings: 1,
        ..StunFacts::default()
    }));
    record.facts.http = Some(Box::new(HttpFacts {
        more: Vec::new(),
        method: Some("CONNECT".into()),
        host: Some("example.com:8080".into()),
        user_agent: Some("tab\tquote\"".into()),
        connect_target: Some("198.51.100.7:443".into()),
        status: Some(200),
        ..HttpFacts::default()
    }));
    record.quality = Quality { retransmits: 1, one_way: true, ..Quality::default() };
    record
}
