//! Farms of two to twelve people behind one home address, and honest people who share one.
//!
//! Owns: made-up days of employees at addresses whose regions the embedded database knows. In: the
//! binary. Out: what is found by the third day, and what is not. Never: a recorded capture, or a
//! name that a rule looks for where it says none.
//!
//! `LONGHAUL_TORTURE` makes twenty of each kind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "tests share helpers that not all of them use")]

mod craft;

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};

use craft::{Capture, Connection, MS, SECOND, START, Said};

const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// The sensor's place: IAD.
const SENSOR: (f64, f64) = (38.95, -77.46);

/// Cities that are 300 km apart or more: the first three octets of a home's address there, latitude
/// and longitude of its region.
const CITIES: [([u8; 3], f64, f64); 9] = [
    ([63, 106, 205], 42.35, -71.15),
    ([72, 201, 77], 32.33, -111.01),
    ([75, 54, 69], 38.75, -92.45),
    ([97, 122, 133], 39.80, -105.04),
    ([73, 239, 8], 47.48, -121.98),
    ([70, 226, 203], 41.73, -87.90),
    ([69, 136, 197], 33.71, -84.20),
    ([65, 128, 193], 45.05, -93.33),
    ([50, 111, 71], 35.63, -79.58),
];

/// Random numbers (Steele, Lea and Flood, OOPSLA 2014: `SplitMix64`).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}

/// An employee, and the place that they claim.
struct Person {
    number: u8,
    claim: (f64, f64),
}

impl Person {
    fn user(&self) -> String {
        format!("user{}", self.number)
    }

    fn inner(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 9, 0, self.number)
    }
}

/// A company: its people, and what passes the sensor.
struct Site {
    people: Vec<Person>,
    capture: Capture,
    draw: Draw,
    ports: u16,
}

/// Round trip of an access network to a place, there and back, in ns.
fn round_trip(at: (f64, f64)) -> u64 {
    let rad = |degrees: f64| degrees.to_radians();
    let (a, b) = (rad(SENSOR.0), rad(at.0));
    let east = rad(at.1 - SENSOR.1);
    let angle = (a.sin() * b.sin() + a.cos() * b.cos() * east.cos()).acos();
    ((angle * 6_371.0 / 99.93 * 1.5 + 8.0) * MS as f64) as u64
}

impl Site {
    fn new(seed: u64) -> Site {
        Site { people: Vec::new(), capture: Capture::default(), draw: Draw(seed), ports: 40_000 }
    }

    /// Adds somebody who claims a place within so many km of a city, north or south of it.
    fn hire(&mut self, city: usize, km: u64) -> usize {
        let (_, north, east) = CITIES[city];
        let off = self.draw.below(2 * km + 1) as f64 - km as f64;
        let claim = (north + off / 111.0, east);
        self.people.push(Person { number: self.people.len() as u8 + 1, claim });
        self.people.len() - 1
    }

    fn port(&mut self) -> u16 {
        self.ports += 1;
        self.ports
    }

    /// The access server says that somebody is there, or gone; it is confirmed (RFC 2866).
    fn account(&mut self, at: u64, status: u32, who: usize, outer: Ipv4Addr) {
        let attribute = |kind: u8, value: &[u8]| [&[kind, value.len() as u8 + 2], value].concat();
        let person = &self.people[who];
        let attributes = [
            attribute(40, &status.to_be_bytes()),
            attribute(1, person.user().as_bytes()),
            attribute(8, &person.inner().octets()),
            attribute(31, outer.to_string().as_bytes()),
        ]
        .concat();
        let length = (20 + attributes.len() as u16).to_be_bytes();
        let request = [&[4, 1], &length[..], &[0; 16], &attributes].concat();
        let end = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (client, server) = (end("10.0.0.2:40000"), end("10.0.0.3:1813"));
        self.capture.add(at, craft::udp(client, server, &request));
        let confirmed = [&[5, 1, 0, 20][..], &[0; 16]].concat();
        self.capture.add(at + MS, craft::udp(server, client, &confirmed));
    }

    /// A connection with two exchanges.
    fn connect(&mut self, from: Ipv4Addr, to: &str, at: u64, near: u64) {
        let port = self.port();
        let mut session = Connection::new(&format!("{from}:{port}"), to);
        (session.now, session.near, session.far) = (at, near, MS);
        session.open().ask(b"question").answer(b"answer").ask(b"question").answer(b"answer");
        self.capture.join(session.close());
    }

    /// Somebody works from an address of a city for some hours: a tunnel, and sessions in it.
    fn work(
        &mut self,
        who: usize,
        (city, house): (usize, u8),
        day: u64,
        (from, hours): (u64, u64),
    ) {
        let ([a, b, c], north, east) = CITIES[city];
        let outer = Ipv4Addr::new(a, b, c, house);
        let begin = START + day * DAY + from * HOUR + self.draw.below(1_200) * SECOND;
        self.account(begin, 1, who, outer);
        let near = round_trip((north, east));
        self.connect(outer, "10.0.0.9:9999", begin + SECOND, near);
        let inner = self.people[who].inner();
        for hour in 0..hours {
            let at = begin + hour * HOUR + (60 + self.draw.below(2_000)) * SECOND;
            self.connect(inner, "198.51.100.7:443", at, near);
        }
        self.account(begin + hours * HOUR, 2, who, outer);
    }

    /// A session of two minutes within somebody's tunnel, with a server of that name.
    fn control(&mut self, who: usize, name: &str, day: u64, hour: u64) {
        let port = self.port();
        let inner = self.people[who].inner();
        let mut session = Connection::new(&format!("{inner}:{port}"), "198.51.100.90:443");
        session.now = START + day * DAY + hour * HOUR;
        session.open().ask(&craft::client_hello(name)).answer(&craft::server_hello());
        for _ in 0..6 {
            session.wait(20 * SECOND).ask(&craft::tls_data(90)).answer(&craft::tls_data(900));
        }
        self.capture.join(session.close());
    }

    fn subjects(&self) -> String {
        let mut text = "match,id,place\n".to_owned();
        for person in &self.people {
            let (north, east) = person.claim;
            writeln!(text, "user:{0},e-{0},\"{north},{east}\"", person.user()).unwrap();
        }
        text
    }

    fn read(self) -> Said {
        let folder = tempfile::tempdir().unwrap();
        let subjects = folder.path().join("subjects.csv");
        std::fs::write(&subjects, self.subjects()).unwrap();
        let args = ["--place", "IAD", "--subjects", subjects.to_str().unwrap()];
        craft::read(&self.capture.sorted().pcap(), &args)
    }
}

/// So many of each kind.
fn rounds() -> u64 {
    if std::env::var_os("LONGHAUL_TORTURE").is_some() { 20 } else { 2 }
}

/// Alerts above low.
fn loud(said: &Said) -> Vec<(String, String)> {
    let quiet = ["low", "informational"];
    said.rules().into_iter().filter(|(_, level)| !quiet.contains(&&**level)).collect()
}

/// Three days of a farm: its people claim cities elsewhere.
fn farm(seed: u64, size: usize, tool: Option<&str>) -> Said {
    let mut site = Site::new(seed);
    let home = site.draw.below(9) as usize;
    let house = 10 + site.draw.below(200) as u8;
    for n in 0..size {
        let city = (home + 1 + n % 8) % 9;
        let who = site.hire(city, 40);
        let from = 12 + site.draw.below(3);
        let hours = 7 + site.draw.below(3);
        for day in 0..3 {
            site.work(who, (home, house), day, (from, hours));
        }
        if let Some(tool) = tool {
            site.control(who, tool, 1, from + 4);
        }
    }
    site.read()
}

#[test]
fn a_farm_is_found_by_the_third_day_whatever_its_tool() {
    for round in 0..rounds() {
        for size in 2..=12 {
            let said = farm(1_000 * round + size, size as usize, None);
            let want = if size < 5 { "high" } else { "critical" };
            let level: Vec<String> = said
                .rules()
                .into_iter()
                .filter(|(rule, _)| rule == "D14")
                .map(|(_, level)| level)
                .collect();
            assert!(level.iter().any(|have| have == want), "{round}, {size}: {:?}", said.rules());
            let named: usize = said
                .alerts
                .iter()
                .filter(|alert| craft::at(alert, "rule.id") == "D14")
                .map(|alert| craft::at(alert, "longhaul.subjects").as_array().map_or(0, Vec::len))
                .max()
                .unwrap();
            assert_eq!(named as u64, size, "{round}: all of them are named");
        }
    }
}

#[test]
fn two_with_a_second_group_of_evidence_are_an_incident() {
    for (round, tool) in (0..rounds()).flat_map(|round| {
        ["relay-1a2b3c4d.net.anydesk.com", "rs-ny.rustdesk.com", "master1.teamviewer.com"]
            .map(|tool| (round, tool))
    }) {
        let said = farm(77 + round, 2, Some(tool));
        assert_eq!(said.incidents.len(), 1, "{round}, {tool}: {:?}", said.rules());
        let people = craft::at(&said.incidents[0], "longhaul.subjects").as_array().map(Vec::len);
        assert_eq!(people, Some(2), "{round}, {tool}");
    }
}

/// What says that somebody is not where the file has them. Of a journey that nobody declared it is
/// true, with or without others at the hotel.
const JOURNEY: [&str; 3] = ["D05", "D34", "D35"];

/// Name, rules that may be above low, and who is there.
type Kind = (&'static str, &'static [&'static str], fn(&mut Site));

/// Each kind works for five days.
#[test]
fn honest_people_who_share_an_address_raise_nothing_above_low() {
    let kinds: [Kind; 6] = [
        ("a couple", &[], couple),
        ("a flat share", &[], flat),
        ("a hotel", &JOURNEY, hotel),
        ("carrier-grade NAT", &[], cgnat),
        ("an office", &JOURNEY, office),
        ("a gateway of a whole company", &JOURNEY, gateway),
    ];
    for round in 0..rounds() {
        for (name, excused, kind) in kinds {
            let mut site = Site::new(500 + round);
            kind(&mut site);
            let said = site.read();
            let mut loud = loud(&said);
            loud.retain(|(rule, _)| !excused.contains(&&**rule));
            assert_eq!(loud, [], "{name}, {round}");
            assert_eq!(said.incidents.len(), 0, "{name}, {round}");
        }
    }
}

/// People who live in one home, or near one another behind one address.
fn neighbours(site: &mut Site, people: u64, km: u64) {
    let city = site.draw.below(9) as usize;
    for _ in 0..people {
        let who = site.hire(city, km);
        let from = 12 + site.draw.below(3);
        for day in 0..5 {
            site.work(who, (city, 33), day, (from, 8));
        }
    }
}

fn couple(site: &mut Site) {
    neighbours(site, 2, 0);
}

fn flat(site: &mut Site) {
    neighbours(site, 4, 0);
}

fn cgnat(site: &mut Site) {
    let people = 4 + site.draw.below(10);
    neighbours(site, people, 120);
}

/// Two days at home, then a meeting of three in another city.
fn hotel(site: &mut Site) {
    let there = site.draw.below(9) as usize;
    for n in 0..6 {
        let home = (there + 1 + n) % 9;
        let who = site.hire(home, 20);
        for day in 0..5 {
            let place = if day < 2 { (home, 40 + n as u8) } else { (there, 99) };
            site.work(who, place, day, (13, 8));
        }
    }
}

/// An office that nobody declared: most live near it, two come for some days.
fn office(site: &mut Site) {
    let city = site.draw.below(9) as usize;
    for n in 0..10 {
        let home = if n < 2 { (city + 2 + n) % 9 } else { city };
        let who = site.hire(home, 50);
        for day in 0..5 {
            let away = n < 2 && day < 2;
            let place = if away { (home, 60 + n as u8) } else { (city, 7) };
            site.work(who, place, day, (13, 8));
        }
    }
}

/// Of everybody, wherever they live.
fn gateway(site: &mut Site) {
    for n in 0..20 {
        let who = site.hire(n % 9, 30);
        for day in 0..5 {
            site.work(who, (0, 1), day, (13, 8));
        }
    }
}
