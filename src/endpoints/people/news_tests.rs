use super::*;
use crate::endpoints::people::outbound::Outbound;
use crate::endpoints::people::tests::{CHICAGO, HOUSE, ONE, SEATTLE, Seen, TWO, at, end, place};
use crate::endpoints::people::{COUNTED, SHAPES, shapes};
use crate::endpoints::summary::Incoming;
use crate::model::Nanos;
use crate::model::people_facts::{Owner, Volume};
use crate::model::record::{AutonomousSystem, Place};

const HOST: Addr = Addr::v4([10, 9, 0, 1]);

/// A session of a person from inside.
fn out(who: &Seen, time: (u64, u64, u64), change: impl FnOnce(&mut Egress)) -> EndpointSummary {
    let mut session = at(1, time, who);
    let incoming = session.incoming.take().unwrap();
    session.initiator.ip = HOST;
    session.initiator.side = Locality::Home;
    session.responder.side = Locality::Remote;
    let own = Incoming { subject: incoming.subject, ..Incoming::default() };
    let mut egress = Egress { session: own, outbound: true, ..Egress::default() };
    change(&mut egress);
    session.egress = Some(Box::new(egress));
    session
}

fn told(people: &mut People, session: &EndpointSummary) -> Vec<PeopleFacts> {
    people.observe(session, true);
    people.news.drain(..).map(|news| news.facts).collect()
}

/// While two are connected at once, no session of their address has a name.
#[test]
fn tunnels_show_who_is_behind_their_outer_address() {
    let mut people = People::new(1 << 20);
    let tunnel = |who: &Seen, claim, day| {
        out(who, (day, 8, 20), |egress| {
            (egress.from, egress.claim, egress.outbound) = (Some(HOUSE), Some(place(claim)), false);
        })
    };
    for day in 0..3 {
        // What is open is not there twice when it ends.
        people.observe(&tunnel(&ONE, CHICAGO, day), false);
        people.observe(&tunnel(&ONE, CHICAGO, day), true);
        people.observe(&tunnel(&TWO, CHICAGO, day), true);
        let mut outer = at(7, (day, 8, 20), &ONE);
        outer.incoming.as_deref_mut().unwrap().subject = None;
        people.observe(&outer, true);
    }
    let found = people.colocated(HOUSE, end(2)).unwrap();
    let people_there: Vec<&str> = found.people.iter().map(|id| &**id).collect();
    assert_eq!(people_there, ["e-1", "e-2"]);
    assert_eq!((found.days, found.overlap_days), (3, 3));
    // The region of their address, Seattle's, is known after the first day: two say no.
    assert_eq!(found.away, 2);
}

#[test]
fn a_day_above_all_before_is_told_in_steps() {
    const MB: u64 = 1_000_000;
    let mut people = People::new(1 << 20);
    let mut send = |day, mb: u64, owner| {
        let session = out(&ONE, (day, 9, 10), |egress| {
            (egress.up, egress.owner) = (mb * MB, owner);
        });
        let all = told(&mut people, &session);
        all.into_iter().find_map(|facts| facts.volume)
    };
    let storage = Some(Owner::Storage);
    assert!(send(0, 300, storage).is_some(), "the first day has none before");
    for day in 1..20 {
        assert_eq!(send(day, 200, storage), None, "{day}");
    }
    assert_eq!(send(20, 200, storage), None);
    // It adds up over the day.
    let want = Volume { owner: Owner::Storage, bytes: 600 * MB, usual: 300 * MB, days: 20 };
    assert_eq!(send(20, 400, storage), Some(want));
    assert_eq!(send(20, 100, storage), None, "not a quarter more");
    assert_eq!(send(20, 100, storage).unwrap().bytes, 800 * MB);
    assert_eq!(send(20, 5_000, None), None, "an owner of another kind");
    assert_eq!(send(21, 90, Some(Owner::Code)), None, "little");
}

/// A session that types at a distance.
fn far(who: &Seen, day: u64, minutes: u64) -> EndpointSummary {
    let mut session = out(who, (day, 9, 9), |egress| {
        egress.interactive = true;
        egress.session.region = Some(place(SEATTLE));
    });
    session.last = session.first.plus(Nanos::from_secs(minutes * 60));
    let system =
        AutonomousSystem { number: 64_500, organization: None, cached: Default::default() };
    session.responder.asn = Some(Arc::new(system));
    let (country, none) = (Some("DE".into()), None);
    session.responder.place = Some(Arc::new(Place {
        country,
        region: None,
        location: none,
        radius_km: None,
        cached: Default::default(),
    }));
    session
}

#[test]
fn a_destination_is_new_once_in_30_days_and_knows_who_else_goes_there() {
    let mut people = People::new(1 << 20);
    let mut go = |who: &Seen, day, minutes| {
        let all = told(&mut people, &far(who, day, minutes));
        all.into_iter().find_map(|facts| facts.new_destination)
    };
    assert_eq!(go(&ONE, 0, 9), None, "short");
    let first = go(&ONE, 5, 30).unwrap();
    assert_eq!((first.minutes, first.people, first.history_days), (30, 0, 5));
    assert!((first.km.unwrap() - 3_720.0).abs() < 40.0, "{first:?}");
    assert_eq!(go(&ONE, 6, 30), None);
    assert_eq!(go(&TWO, 7, 30).map(|found| found.people), Some(1));
    assert_eq!(go(&ONE, 36, 30), None);
    assert!(go(&ONE, 67, 30).is_some(), "31 days later");
}

#[test]
fn a_tool_is_new_on_site_once_in_30_days() {
    let mut people = People::new(1 << 20);
    let mut run = |who: &Seen, day, tool: &str| {
        let by = |egress: &mut Egress| egress.by = Some(Arc::from(tool));
        let all = told(&mut people, &out(who, (day, 9, 10), by));
        all.into_iter().find_map(|facts| facts.first_seen).map(|found| found.history_days)
    };
    assert_eq!(run(&ONE, 0, "rmm:anydesk"), Some(0));
    assert_eq!(run(&TWO, 20, "rmm:anydesk"), None);
    assert_eq!(run(&TWO, 20, "rmm:rustdesk"), Some(20));
    assert_eq!(run(&ONE, 50, "rmm:anydesk"), None);
    assert_eq!(run(&ONE, 81, "rmm:anydesk"), Some(81));
}

/// What goes on is told as soon as it is unusual, and counts once.
#[test]
fn sessions_that_go_on_are_told_and_count_once() {
    const MB: u64 = 1_000_000;
    let mut people = People::new(1 << 20);
    let id = [7; 16];
    let mut go = |hours: (u64, u64), day, mb: u64, ended: bool| {
        let mut session = far(&ONE, day, 9);
        let egress = session.egress.as_deref_mut().unwrap();
        (egress.session.id, egress.up, egress.owner) = (id, mb * MB, Some(Owner::Storage));
        (egress.screen_call, egress.by) = (true, Some("rmm:anydesk".into()));
        (session.first, session.last) = (at(1, (day, hours.0, hours.0), &ONE).first, Nanos::ZERO);
        session.last = Nanos(session.first.0 + (hours.1 - hours.0) * 3_600_000_000_000);
        if ended {
            people.close(&id);
        }
        people.observe(&session, ended);
        let mut all = PeopleFacts::default();
        for news in people.news.drain(..) {
            all.volume = news.facts.volume.or(all.volume);
            all.new_destination = news.facts.new_destination.or(all.new_destination);
            all.first_seen = news.facts.first_seen.or(all.first_seen);
            all.marathon = news.facts.marathon.or(all.marathon);
        }
        let volume = all.volume.map(|volume| volume.bytes / MB);
        let hours = all.marathon.map(|found| (found.days, found.hours));
        (volume, all.new_destination.is_some(), all.first_seen.is_some(), hours)
    };
    assert_eq!(go((8, 9), 0, 90, false), (None, true, true, None));
    assert_eq!(go((8, 12), 0, 110, false), (Some(110), false, false, Some((1, 4))));
    assert_eq!(go((8, 13), 0, 120, true), (None, false, false, None), "told, and it grew little");
    // The first had 120 in all; the same id would be another session.
    assert_eq!(go((8, 9), 1, 119, true), (None, false, false, None));
    assert_eq!(go((10, 11), 1, 2, true), (Some(121), false, false, None));
}

/// Class, owner and subject of a session that goes on may be known late, and one of them may go
/// again: the sums are those of a session that is judged at its end only.
#[test]
fn what_is_known_late_of_a_session_counts_from_its_beginning() {
    const MB: u64 = 1_000_000;
    // Bytes, minutes, and whether subject, owner and call are known.
    let steps = [
        (10 * MB, 10, [false, false, false]),
        (20 * MB, 20, [false, true, true]),
        (30 * MB, 30, [true, false, false]),
        (40 * MB, 40, [true, true, false]),
        (50 * MB, 50, [true, false, true]),
        (60 * MB, 60, [true, true, true]),
    ];
    let at_step = |(bytes, minutes, [subject, owner, call]): (u64, u64, [bool; 3])| {
        let mut session = out(&ONE, (0, 8, 8), |egress| {
            (egress.session.id, egress.up, egress.screen_call) = ([7; 16], bytes, call);
            egress.owner = owner.then_some(Owner::Code);
            egress.session.subject = egress.session.subject.take().filter(|_| subject);
            egress.by = Some(Arc::from("vpn:other"));
        });
        session.last = session.first.plus(Nanos::from_secs(60 * minutes));
        session
    };
    let sums = |updates: &[usize]| {
        let mut people = People::new(1 << 20);
        for at in updates {
            people.observe(&at_step(steps[*at]), false);
        }
        people.close(&[7; 16]);
        people.observe(&at_step(steps[5]), true);
        let known = people.people.get("e-1").unwrap().outbound.clone().unwrap();
        (known.volumes, known.calls)
    };
    let want = sums(&[]);
    assert_eq!(want.0.get(&Owner::Code).map(|days| days[0].1), Some(60 * MB));
    assert_eq!(want.1[0].1, 3_600);
    for bits in 0..64 {
        let updates: Vec<usize> = (0..6).filter(|at| bits >> at & 1 == 1).collect();
        assert_eq!(sums(&updates), want, "{updates:?}");
    }
}

/// Many sessions that nobody counts, or small ones, take no place from a large one; and what finds
/// no place counts at its end.
#[test]
fn open_sessions_that_count_nothing_hide_none_that_does() {
    const MB: u64 = 1_000_000;
    let mut people = People::new(1 << 18);
    let go = |people: &mut People, n: u64, up: u64, owner: Option<Owner>, ended: bool| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        let session = out(&ONE, (0, 9, 9), |egress| {
            (egress.session.id, egress.up, egress.owner) = (id, up, owner);
        });
        if ended {
            people.close(&id);
        }
        people.observe(&session, ended);
    };
    for n in 0..1_000 {
        go(&mut people, n, 500 * MB, None, false);
        go(&mut people, 1_000 + n, 900_000, Some(Owner::Code), false);
    }
    let empty = people.counted.held();
    go(&mut people, 5_000, 200 * MB, Some(Owner::Code), false);
    let sum = |people: &People| people.people["e-1"].outbound.as_ref().unwrap().volumes.clone();
    assert_eq!(sum(&people)[&Owner::Code][0].1, 200 * MB);
    assert!(empty == 0 && people.counted.held() > 0 && people.take_updates_dropped() == 0);
    assert!(people.held() > people.bytes);
    for n in 10_000..11_000 {
        go(&mut people, n, MB, Some(Owner::Code), false);
    }
    assert!(people.counted.held() <= (1 << 18) / COUNTED);
    let told = sum(&people)[&Owner::Code][0].1;
    assert!(told < 600 * MB && people.take_updates_dropped() > 500, "{told}");
    for n in 10_000..11_000 {
        go(&mut people, n, MB, Some(Owner::Code), true);
    }
    assert_eq!(sum(&people)[&Owner::Code][0].1, 1_200 * MB, "each byte once");
}

/// The line of a host shows the latest of each kind, until the next span.
#[test]
fn what_was_told_of_a_host_is_kept_for_its_line() {
    let mut people = People::new(1 << 20);
    let by = |tool: &str| {
        let tool = Arc::from(tool);
        move |egress: &mut Egress| egress.by = Some(tool)
    };
    told(&mut people, &out(&ONE, (0, 9, 10), by("rmm:anydesk")));
    told(&mut people, &out(&ONE, (1, 9, 9), by("rmm:rustdesk")));
    let tool = people.told(HOST).and_then(|facts| facts.first_seen).map(|found| found.tool);
    assert_eq!(tool.as_deref(), Some("rmm:anydesk"), "the second lasts for no minute");
    told(&mut people, &out(&ONE, (1, 9, 10), by("rmm:rustdesk")));
    let tool = people.told(HOST).and_then(|facts| facts.first_seen).map(|found| found.tool);
    assert_eq!(tool.as_deref(), Some("rmm:rustdesk"));
    assert_eq!(people.successor().told(HOST), None);
}

#[test]
fn calls_with_a_screen_for_four_hours_count_by_day() {
    let mut people = People::new(1 << 20);
    let mut call = |day, from, to, screen| {
        let session = out(&ONE, (day, from, to), |egress| egress.screen_call = screen);
        let all = told(&mut people, &session);
        all.into_iter().find_map(|facts| facts.marathon).map(|found| (found.days, found.hours))
    };
    assert_eq!(call(0, 9, 12, true), None);
    assert_eq!(call(0, 13, 15, true), Some((1, 5)), "they add up");
    assert_eq!(call(0, 16, 18, true), None, "told of that day");
    assert_eq!(call(1, 9, 17, false), None);
    assert_eq!(call(2, 9, 13, true), Some((2, 4)));
    assert_eq!(call(3, 9, 13, true), Some((3, 4)));
}

#[test]
fn what_goes_out_is_stored() {
    let mut people = People::new(1 << 20);
    for day in 0..4 {
        people.observe(&far(&ONE, day, 700), true);
        let session = out(&TWO, (day, 9, 14), |egress| {
            (egress.up, egress.owner, egress.screen_call) = (5_000_000, Some(Owner::Code), true);
            egress.by = Some(Arc::from("mesh:tailscale"));
        });
        people.observe(&session, true);
    }
    let bytes = people.encode();
    let again = People::decode(1 << 20, &bytes).unwrap();
    assert_eq!(again.encode(), bytes);
    let of = |people: &People, id: &str| -> Outbound {
        *people.people.get(id).unwrap().outbound.clone().unwrap()
    };
    let (before, after) = (of(&people, "e-2"), of(&again, "e-2"));
    assert_eq!((before.volumes, before.calls), (after.volumes, after.calls));
    assert_eq!(of(&again, "e-1").destinations.len(), 1);
    assert_eq!(people.tools.all, again.tools.all);
    for at in 0..bytes.len() {
        assert!(People::decode(1 << 20, &bytes[..at]).is_err(), "{at}");
    }
}

/// A session that looks controlled from a network, with an hour's length.
fn shown(who: Option<&Seen>, host: u8, day: u64, system: u32) -> EndpointSummary {
    let mut session = out(who.unwrap_or(&ONE), (day, 9, 10), |egress| egress.controlled = true);
    session.initiator.ip = Addr::v4([10, 9, 0, host]);
    let system =
        AutonomousSystem { number: system, organization: None, cached: Default::default() };
    session.responder.asn = Some(Arc::new(system));
    if who.is_none() {
        session.egress.as_deref_mut().unwrap().session.subject = None;
    }
    session
}

fn screen_days(people: &mut People, session: &EndpointSummary) -> Option<(u32, u32)> {
    let all = told(people, session);
    all.into_iter().find_map(|facts| facts.screen_days).map(|found| (found.days, found.others))
}

#[test]
fn days_of_the_same_shape_with_one_network_add_up() {
    let mut people = People::new(1 << 20);
    assert_eq!(screen_days(&mut people, &shown(Some(&ONE), 1, 0, 64_500)), Some((1, 0)));
    assert_eq!(screen_days(&mut people, &shown(Some(&ONE), 1, 0, 64_500)), None, "told today");
    // The person's, on whatever host.
    assert_eq!(screen_days(&mut people, &shown(Some(&ONE), 2, 1, 64_500)), Some((2, 0)));
    assert_eq!(screen_days(&mut people, &shown(Some(&ONE), 1, 1, 64_501)), Some((1, 0)));
    // Others with the same network, named or not.
    assert_eq!(screen_days(&mut people, &shown(Some(&TWO), 3, 1, 64_500)), Some((1, 1)));
    assert_eq!(screen_days(&mut people, &shown(None, 4, 1, 64_500)), Some((1, 2)));
    assert_eq!(screen_days(&mut people, &shown(Some(&ONE), 1, 2, 64_500)), Some((3, 2)));
    let mut short = shown(Some(&ONE), 1, 3, 64_500);
    short.last = short.first.plus(Nanos::from_secs(59));
    assert_eq!(screen_days(&mut people, &short), None);
    // What is stored goes on, what two sensors know adds up, and old days are forgotten.
    let stored = People::decode(1 << 20, &people.encode()).unwrap();
    assert_eq!(stored.encode(), people.encode());
    let mut other = People::new(1 << 20);
    drop(told(&mut other, &shown(Some(&ONE), 1, 5, 64_500)));
    other.merge(stored);
    assert_eq!(screen_days(&mut other, &shown(Some(&ONE), 1, 6, 64_500)), Some((5, 2)));
    assert_eq!(screen_days(&mut other, &shown(Some(&ONE), 1, 30, 64_500)), Some((1, 0)));
}

/// Whoever opens such sessions with many networks displaces the oldest, within the bytes.
#[test]
fn pairs_that_look_controlled_are_bounded() {
    let mut people = People::new(1 << 20);
    let mut most = 0;
    for n in 0..100_000u32 {
        let mut session = shown(None, 1, u64::from(n / 20_000), n % 7_000);
        session.initiator.ip = Addr::v4((0x0a00_0000 + n).to_be_bytes());
        people.observe(&session, true);
        most = most.max(people.shapes.held());
    }
    assert!(most <= (1 << 20) / SHAPES && most > (1 << 19) / SHAPES, "{most}");
    let kept = people.shapes.all.len() as u64;
    assert_eq!(people.shapes.held(), people.shapes.all.len() * shapes::PLACE);
    let oldest = people.shapes.all.values().filter_map(|days| days.last()).min();
    assert_eq!(oldest, Some(20_004), "the latest stay");
    // Lines of hosts have a bound of their own.
    let untold = 100_000 - people.told.len() as u64;
    assert_eq!(people.dropped, 100_000 - kept + untold);
}

/// Messages of a session that goes on count by the hour in which they were sent, once.
#[test]
fn work_hours_come_from_updates() {
    let mut people = People::new(1 << 20);
    let id = [9; 16];
    let so_far = |hour: u64, messages: u32| {
        let mut session = at(7, (0, 8, hour), &ONE);
        let incoming = session.incoming.as_deref_mut().unwrap();
        (incoming.id, incoming.messages) = (id, messages);
        session
    };
    for (hour, messages) in [(9, 5_000), (10, 10_000), (11, 10_100), (12, 15_000)] {
        people.observe(&so_far(hour, messages), false);
        people.observe(&so_far(hour, messages), false);
    }
    people.close(&id);
    people.observe(&so_far(13, 15_100), true);
    let (known, one): (_, Arc<str>) = (HOUSE, Arc::from("e-1"));
    let hours =
        |people: &People| people.facts(known, Some(&one), end(0)).unwrap().work_hours.unwrap();
    assert_eq!((hours(&people).active_max, hours(&people).foreign_share), (3, None));
    people.foreign_hours = 1 << 9 | 1 << 11;
    assert_eq!(hours(&people).foreign_share, Some(1.0 / 3.0));
    let mut stored = People::decode(1 << 20, &people.encode()).unwrap();
    stored.foreign_hours = people.foreign_hours;
    assert_eq!(hours(&stored), hours(&people));
}

#[test]
fn a_destination_knows_who_of_the_group_goes_there() {
    let mut people = People::new(1 << 20);
    let mut go = |who: &Seen, day, role: Option<&str>, hired: &str| {
        let mut session = far(who, day, 30);
        let own = &mut session.egress.as_deref_mut().unwrap().session;
        (own.role, own.hired) = (role.map(Arc::from), Some(Arc::from(hired)));
        let all = told(&mut people, &session);
        let found = all.into_iter().find_map(|facts| facts.new_destination).unwrap();
        (found.people, found.group, found.group_people)
    };
    let three = Seen { who: "e-3", ..ONE };
    let four = Seen { who: "e-4", ..ONE };
    assert_eq!(go(&ONE, 0, Some("Developer"), "2024-01-01"), (0, 0, 0));
    assert_eq!(go(&TWO, 1, Some("developer"), "2020-01-01"), (1, 1, 1), "the same role");
    assert_eq!(go(&three, 2, None, "2024-01-01"), (2, 0, 0), "no role is no role");
    assert_eq!(go(&four, 3, None, "2024-03-31"), (3, 1, 1), "hired in the same 90 days");
    let five = Seen { who: "e-5", ..ONE };
    assert_eq!(go(&five, 4, None, "2024-06-30"), (4, 0, 0));
}

#[test]
fn a_kvm_behind_a_new_network_is_told_with_its_delay() {
    let from = |system: u32, day: u64, hour: u64| {
        let mut session = at(1, (day, hour, hour + 1), &ONE);
        let system =
            AutonomousSystem { number: system, organization: None, cached: Default::default() };
        session.initiator.asn = Some(Arc::new(system));
        session.incoming.as_deref_mut().unwrap().hired = Some(Arc::from("2024-10-04"));
        session
    };
    let kvm = |day: u64, hour: u64| {
        out(&ONE, (day, hour, hour + 1), |egress| egress.by = Some(Arc::from("kvm:jetkvm")))
    };
    let mut people = People::new(1 << 20);
    let mut networks = |session: &EndpointSummary| {
        people.observe(session, true);
        let ip = Addr::v4([192, 0, 2, 1]);
        let facts = people.facts(ip, Some(&Arc::from("e-1")), end(3)).unwrap();
        facts.networks.map(|found| (found.count, found.kvm_minutes))
    };
    assert_eq!(networks(&from(64_500, 0, 9)), Some((1, None)));
    assert_eq!(networks(&kvm(0, 12)), Some((1, Some(180))));
    assert_eq!(networks(&from(64_501, 1, 9)), Some((2, None)), "that was before the change");
    assert_eq!(networks(&kvm(1, 10)), Some((2, Some(60))));
    assert_eq!(networks(&kvm(1, 15)), Some((2, Some(60))), "the first");
    let stored = People::decode(1 << 20, &people.encode()).unwrap();
    assert_eq!(stored.encode(), people.encode());
}

/// The corpus of the fuzz target has every part, in today's form.
#[test]
fn every_part_is_stored_and_in_the_corpus() {
    let mut people = People::new(1 << 20);
    for day in 0..3 {
        let mut session = at(1, (day, 9, 12), &ONE);
        let system =
            AutonomousSystem { number: 64_500, organization: None, cached: Default::default() };
        session.initiator.asn = Some(Arc::new(system));
        let own = session.incoming.as_deref_mut().unwrap();
        (own.messages, own.hired) = (900, Some(Arc::from("2024-10-04")));
        own.role = Some(Arc::from("developer"));
        let all = [
            session,
            at(1, (day, 9, 12), &TWO),
            far(&ONE, day, 30),
            shown(Some(&TWO), 2, day, 64_501),
            shown(None, 3, day, 64_502),
            out(&ONE, (day, 13, 14), |egress| {
                (egress.by, egress.screen_call) = (Some(Arc::from("kvm:jetkvm")), true);
                (egress.up, egress.owner) = (200_000_000, Some(Owner::Code));
            }),
        ];
        all.iter().for_each(|session| drop(told(&mut people, session)));
    }
    let stored = people.encode();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/people/all");
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &stored).unwrap();
    }
    assert!(std::fs::read(path).unwrap() == stored, "LONGHAUL_BLESS=1 makes it anew");
    assert_eq!(People::decode(1 << 20, &stored).unwrap().encode(), stored);
}
