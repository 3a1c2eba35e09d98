//! The pictures of docs/remote-control.md.
//!
//! Owns: what each shows. In: captures of the laboratory, or numbers made here where it has none.
//! Out: SVG files in docs/, written with LONGHAUL_BLESS=1. Never: a picture of other numbers than
//! those that the statistic is made of.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::frames::{End, Packet, packets};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const TOP: f64 = 34.0;
const PANEL: (f64, f64) = (330.0, 210.0);
const LEFT: [f64; 2] = [60.0, 480.0];
const GREEN: &str = "#0b6e4f";
const BLUE: &str = "#2b59c3";
const RED: &str = "#d1495b";
const GREY: &str = "#9a9a9a";

/// A picture with two panels.
struct Picture(String);

/// One panel: where it is, and the largest values of its axes.
#[derive(Clone, Copy)]
struct Panel {
    x: f64,
    most: (f64, f64),
}

impl Panel {
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |value: f64, most: f64| (value / most).clamp(0.0, 1.0);
        (self.x + part(x, self.most.0) * PANEL.0, TOP + PANEL.1 - part(y, self.most.1) * PANEL.1)
    }
}

impl Picture {
    fn new() -> Picture {
        Picture(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        ))
    }

    /// A panel with its axes: what they are, and labels at values.
    fn panel(
        &mut self,
        number: usize,
        most: (f64, f64),
        names: (&str, &str),
        labels: (&[f64], &[f64]),
    ) -> Panel {
        let panel = Panel { x: LEFT[number], most };
        let (x, bottom) = (panel.x, TOP + PANEL.1);
        writeln!(
            self.0,
            "<rect x=\"{x}\" y=\"{TOP}\" width=\"{}\" height=\"{}\" fill=\"none\" \
             stroke=\"#444\"/>",
            PANEL.0, PANEL.1
        )
        .unwrap();
        for value in labels.0 {
            let at = panel.place((*value, 0.0)).0;
            self.text((at, bottom + 15.0), "middle", &format!("{value}"));
        }
        for value in labels.1 {
            let at = panel.place((0.0, *value)).1;
            self.text((x - 5.0, at + 4.0), "end", &format!("{value}"));
        }
        self.text((x + PANEL.0 / 2.0, bottom + 32.0), "middle", names.0);
        self.text((x, TOP - 6.0), "start", names.1);
        panel
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, words: &str) {
        writeln!(self.0, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>")
            .unwrap();
    }

    fn bar(&mut self, panel: &Panel, (x, y): (f64, f64), width: f64, colour: &str) {
        let (left, top) = panel.place((x, y));
        let right = panel.place((x + width, 0.0)).0;
        let (wide, high) = ((right - left).max(0.8), TOP + PANEL.1 - top);
        writeln!(
            self.0,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" \
             fill=\"{colour}\" fill-opacity=\"0.65\"/>"
        )
        .unwrap();
    }

    fn dot(&mut self, panel: &Panel, at: (f64, f64), colour: &str) {
        let (x, y) = panel.place(at);
        writeln!(
            self.0,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\" fill=\"{colour}\" fill-opacity=\"0.7\"/>"
        )
        .unwrap();
    }

    fn line(&mut self, panel: &Panel, points: &[(f64, f64)], colour: &str) {
        let text = |point: &(f64, f64)| {
            let (x, y) = panel.place(*point);
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<String> = points.iter().map(text).collect();
        writeln!(
            self.0,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            points.join(" ")
        )
        .unwrap();
    }

    /// What colours mean, below the panels.
    fn key(&mut self, entries: &[(&str, &str)]) {
        for (at, (colour, words)) in entries.iter().enumerate() {
            let x = LEFT[0] + 200.0 * at as f64;
            writeln!(
                self.0,
                "<rect x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>",
                HEIGHT - 16.0
            )
            .unwrap();
            self.text((x + 15.0, HEIGHT - 7.0), "start", words);
        }
    }

    fn write(mut self, name: &str) {
        self.0.push_str("</svg>\n");
        assert!(self.0.matches("NaN").count() == 0, "{name}");
        if std::env::var_os("LONGHAUL_BLESS").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
            std::fs::write(path, self.0).unwrap();
        }
    }
}

/// A capture, with who is who.
struct Capture {
    packets: Vec<Packet>,
    truth: Value,
}

impl Capture {
    fn open(folder: &Path, id: &str) -> Capture {
        let text = std::fs::read(folder.join("truth").join(format!("{id}.json"))).unwrap();
        let packets = packets(&folder.join(format!("{id}.pcap")));
        Capture { packets, truth: serde_json::from_slice(&text).unwrap() }
    }

    /// Packets of the sessions with a role: in (to the laptop), out.
    fn of(&self, role: &str) -> (Vec<&Packet>, Vec<&Packet>) {
        let end = |end: &End| {
            let [a, b, c, d] = end.0;
            format!("{a}.{b}.{c}.{d}:{}", end.1)
        };
        let flows = self.truth["flows"].as_array().unwrap();
        let ours = self.truth["client_ip"].as_str().unwrap();
        let is_it = |packet: &&Packet| {
            let ends = [end(&packet.from), end(&packet.to)];
            flows.iter().any(|flow| {
                let is_end = |field: &str| ends.iter().any(|end| flow[field] == end.as_str());
                let named = flow["role"].as_str().is_some_and(|name| name.starts_with(role));
                named && is_end("client") && is_end("server")
            })
        };
        let sent = |packet: &&Packet| end(&packet.from).starts_with(&format!("{ours}:"));
        self.packets.iter().filter(is_it).partition(|packet| !sent(packet))
    }

    fn number(&self, field: &str) -> f64 {
        self.truth[field].as_f64().unwrap()
    }
}

/// Shares of values in classes of one width.
fn shares(values: &[f64], width: f64, classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; classes];
    for value in values {
        let class = (value / width) as usize;
        if let Some(count) = counts.get_mut(class) {
            *count += 1.0;
        }
    }
    counts.iter().map(|count| count / values.len() as f64).collect()
}

/// The latest of sorted times up to one.
fn latest(times: &[f64], until: f64) -> Option<f64> {
    let at = times.partition_point(|time| *time <= until);
    at.checked_sub(1).map(|at| times[at])
}

/// Draws all of them.
pub fn draw(folder: &Path) {
    let shell = Capture::open(folder, "r0055");
    sizes(&shell);
    lags(&shell);
    replies(&Capture::open(folder, "r0069"));
    checks(&Capture::open(folder, "r0057"));
    rhythms();
    history();
}

/// Message sizes of the side that shows a screen, and of the one that controls.
fn sizes(capture: &Capture) {
    let (input, screen) = capture.of("rmm");
    let mut picture = Picture::new();
    let panels =
        [("input: bytes of a packet", &input, GREEN), ("screen: bytes of a packet", &screen, BLUE)];
    for (number, (name, side, colour)) in panels.into_iter().enumerate() {
        let values: Vec<f64> = side.iter().map(|packet| packet.size as f64).collect();
        let title = format!("share of {} packets", values.len());
        let (x, y) = ([0.0, 400.0, 800.0, 1_200.0], [0.0, 0.2, 0.4, 0.6]);
        let panel = picture.panel(number, (1_500.0, 0.6), (name, &title), (&x, &y));
        for (class, share) in shares(&values, 20.0, 75).iter().enumerate() {
            if *share > 0.0 {
                picture.bar(&panel, (class as f64 * 20.0, *share), 20.0, colour);
            }
        }
    }
    picture.key(&[(GREEN, "from the other end"), (BLUE, "from the laptop")]);
    picture.write("control-sizes.svg");
}

/// Keystrokes to work after messages from the other end, and at moments shortly before.
fn lags(capture: &Capture) {
    let times = |side: &[&Packet], most: usize| -> Vec<f64> {
        side.iter().filter(|packet| packet.size <= most).map(|packet| packet.at).collect()
    };
    let (input, _) = capture.of("rmm");
    let (_, keys) = capture.of("work_");
    let (input, keys) = (times(&input, 400), times(&keys, 260));
    let lag = |at: f64| latest(&input, at).map_or(f64::MAX, |before| (at - before) * 1e3);
    let own: Vec<f64> = keys.iter().map(|at| lag(*at)).collect();
    let moments = [0.6, 0.9, 1.3, 1.9, 2.6, 3.3];
    let shifted: Vec<f64> =
        keys.iter().flat_map(|at| moments.map(|before| lag(at - before))).collect();
    let mut picture = Picture::new();
    let names = ["ms after the latest message from the other end", "the same at shifted moments"];
    for (number, (values, colour)) in [(&own, GREEN), (&shifted, GREY)].into_iter().enumerate() {
        let title = format!("share of {} keystrokes", keys.len());
        let labels = ([0.0, 50.0, 100.0, 150.0, 200.0, 250.0], [0.0, 0.25, 0.5, 0.75, 1.0]);
        let panel =
            picture.panel(number, (260.0, 1.0), (names[number], &title), (&labels.0, &labels.1));
        for (class, share) in shares(values, 4.0, 65).iter().enumerate() {
            picture.bar(&panel, (class as f64 * 4.0, *share), 4.0, colour);
        }
    }
    picture.key(&[(GREEN, "the keystrokes"), (GREY, "0.6 to 3.3 s before them: chance")]);
    picture.write("control-lags.svg");
}

/// How long before requests of one size, and before keys, our messages were.
fn replies(capture: &Capture) {
    let (input, screen) = capture.of("rmm");
    let screen: Vec<f64> = screen.iter().map(|packet| packet.at).collect();
    let mut sizes = HashMap::<usize, Vec<f64>>::new();
    for packet in input.iter().filter(|packet| packet.size <= 400 && packet.at > 10.0) {
        sizes.entry(packet.size).or_default().push(packet.at);
    }
    let mut sizes: Vec<(usize, Vec<f64>)> = sizes.into_iter().collect();
    sizes.sort_by_key(|(size, times)| (usize::MAX - times.len(), *size));
    let shares = |times: &[f64]| -> Vec<f64> {
        let mut counts = vec![0.0; 100];
        for at in times {
            let from = screen.partition_point(|time| *time < at - 0.4);
            let to = screen.partition_point(|time| time <= at);
            let mut classes: Vec<usize> =
                screen[from..to].iter().map(|before| ((at - before) * 250.0) as usize).collect();
            classes.dedup();
            classes.into_iter().filter(|class| *class < 100).for_each(|class| counts[class] += 1.0);
        }
        counts.iter().map(|count| count / times.len() as f64).collect()
    };
    let peak = |times: &[f64]| shares(times).into_iter().fold(0.0, f64::max);
    let frequent = sizes.iter().take(3);
    let request = frequent.clone().max_by(|a, b| peak(&a.1).total_cmp(&peak(&b.1))).unwrap();
    let key = frequent.min_by(|a, b| peak(&a.1).total_cmp(&peak(&b.1))).unwrap();
    let mut picture = Picture::new();
    for (number, (of, colour)) in [(request, GREEN), (key, GREY)].into_iter().enumerate() {
        let name = format!("ms from one of our messages to one of {} bytes", of.0);
        let title = format!("share of {} such messages", of.1.len());
        let labels = ([0.0, 100.0, 200.0, 300.0, 400.0], [0.0, 0.25, 0.5, 0.75, 1.0]);
        let panel = picture.panel(number, (400.0, 1.0), (&name, &title), (&labels.0, &labels.1));
        for (class, share) in shares(&of.1).iter().enumerate() {
            picture.bar(&panel, (class as f64 * 4.0, *share), 4.0, colour);
        }
        for (field, colour) in [("peer_rtt_ms", RED), ("total_rtt_ms", BLUE)] {
            let at = capture.number(field);
            picture.line(&panel, &[(at, 0.0), (at, 1.0)], colour);
        }
    }
    picture.key(&[
        (GREEN, "requests of the viewer"),
        (GREY, "keys"),
        (RED, "round trip to the relay"),
        (BLUE, "round trip to the viewer"),
    ]);
    picture.write("control-replies.svg");
}

/// STUN: round trips to the relay, and of consent through it.
fn checks(capture: &Capture) {
    let (input, output) = capture.of("rmm");
    let stun = |packet: &Packet| {
        let inner = packet.payload.first().is_some_and(|first| first >> 4 == 4);
        let bytes = packet.payload.get(if inner { 4 } else { 0 }..)?;
        let kind = u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?);
        let is_stun = bytes.get(4..8)? == [0x21, 0x12, 0xa4, 0x42];
        is_stun.then(|| (inner, kind & 0x0110, bytes.get(8..20).unwrap_or_default().to_vec()))
    };
    let mut trips = [Vec::new(), Vec::new()];
    for packet in &output {
        let Some((inner, 0, transaction)) = stun(packet) else { continue };
        let answer = input.iter().find(|answer| {
            answer.at > packet.at
                && stun(answer).is_some_and(|(through, kind, of)| {
                    (through, kind) == (inner, 0x0100) && of == transaction
                })
        });
        if let Some(answer) = answer {
            trips[usize::from(inner)].push((packet.at, (answer.at - packet.at) * 1e3));
        }
    }
    let mut picture = Picture::new();
    let most = 1.2 * capture.number("total_rtt_ms");
    let names =
        ["s since the beginning: requests to the relay", "s since the beginning: through it"];
    let labels = [0.0, 50.0, 100.0, 150.0, 200.0, 250.0];
    for (number, trips) in trips.iter().enumerate() {
        let title = format!("ms, {} round trips", trips.len());
        let seconds = [0.0, 20.0, 40.0, 60.0];
        let panel =
            picture.panel(number, (70.0, most), (names[number], &title), (&seconds, &labels));
        for trip in trips {
            picture.dot(&panel, *trip, GREEN);
        }
        let field = ["peer_rtt_ms", "total_rtt_ms"][number];
        let at = capture.number(field);
        picture.line(&panel, &[(0.0, at), (70.0, at)], BLUE);
    }
    picture.key(&[(GREEN, "measured"), (BLUE, "true round trip")]);
    picture.write("control-checks.svg");
}

/// Numbers that look random, the same ones each time.
struct Numbers(u64);

impl Numbers {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A comb of events 100 ms apart, and events within a part of the minute; beside them typing. Made
/// as vendors describe their devices: captures of them are too short.
fn rhythms() {
    let mut numbers = Numbers(8);
    let mut picture = Picture::new();
    let gaps = |events: &[f64]| -> Vec<f64> {
        events.windows(2).map(|pair| (pair[1] - pair[0]) * 1e3).collect()
    };
    let (mut device, mut at) = (Vec::new(), 0.0);
    for _ in 0..60 {
        at += 45.0 + 30.0 * numbers.next();
        device.extend((0..10).map(|n| at + 0.1 * f64::from(n) + 0.006 * (numbers.next() - 0.5)));
    }
    let (mut typed, mut at) = (Vec::new(), 0.0);
    for _ in 0..600 {
        let pause = if numbers.next() < 0.12 { 4.0 * numbers.next() } else { 0.0 };
        at += 0.06 + 0.35 * numbers.next() * numbers.next() + pause;
        typed.push(at);
    }
    let labels = ([0.0, 100.0, 200.0, 300.0, 400.0], [0.0, 0.2, 0.4, 0.6]);
    let name = "ms from one event to the next";
    let panel = picture.panel(0, (400.0, 0.6), (name, "comb: share"), (&labels.0, &labels.1));
    for (values, colour) in [(gaps(&typed), GREY), (gaps(&device), RED)] {
        for (class, share) in shares(&values, 10.0, 40).iter().enumerate() {
            picture.bar(&panel, (class as f64 * 10.0, *share), 10.0, colour);
        }
    }
    let labels = ([0.0, 15.0, 30.0, 45.0, 60.0], [0.0, 20.0, 40.0, 60.0]);
    let names = ("second of the minute", "phase: minutes");
    let panel = picture.panel(1, (60.0, 60.0), names, (&labels.0, &labels.1));
    for minute in 0..60 {
        let minute = f64::from(minute);
        picture.dot(&panel, (20.0 + 14.0 * numbers.next(), minute), RED);
        picture.dot(&panel, (60.0 * numbers.next(), minute), GREY);
    }
    picture.key(&[(RED, "a device, made up"), (GREY, "a person, made up")]);
    picture.write("synthetic-input.svg");
}

/// Uploads of one person a day: an ordinary history, and a day above it. Made up.
fn history() {
    let mut numbers = Numbers(32);
    let mut picture = Picture::new();
    let mut days: Vec<f64> = (0..44)
        .map(|day| {
            let (busy, tail) = (if day % 7 < 5 { 60.0 } else { 4.0 }, numbers.next());
            busy * (0.3 + numbers.next()) * (1.0 + 3.0 * tail * tail * tail * tail)
        })
        .collect();
    days.push(1_900.0);
    for (number, name) in
        ["an ordinary day is compared", "the day that fires"].into_iter().enumerate()
    {
        let until = if number == 0 { 44 } else { 45 };
        let most = if number == 0 { 600.0 } else { 2_000.0 };
        let labels: Vec<f64> = (0..=4).map(|part| most / 4.0 * f64::from(part)).collect();
        let x = [0.0, 10.0, 20.0, 30.0, 40.0];
        let title = format!("MB a day: {name}");
        let panel = picture.panel(number, (46.0, most), ("day (UTC)", &title), (&x, &labels));
        for (day, sent) in days[..until].iter().enumerate() {
            let colour = if day + 1 == until { RED } else { BLUE };
            picture.bar(&panel, (day as f64 + 0.1, *sent), 0.8, colour);
        }
        let before = days[..until - 1].iter().copied().fold(0.0, f64::max);
        picture.line(&panel, &[(0.0, before), (46.0, before)], GREEN);
        picture.line(&panel, &[(0.0, 500.0), (46.0, 500.0)], GREY);
    }
    picture.key(&[
        (BLUE, "days before"),
        (RED, "the day in question"),
        (GREEN, "most of a day before"),
        (GREY, "500 MB"),
    ]);
    picture.write("egress-history.svg");
}
