//! How an event becomes a line of nested JSON: one step a field, worked out once for a run.
//!
//! Owns: the order of members, which objects are opened and closed between two of them, and the
//! text of that. In: the table of fields. Out: bytes appended to a buffer. Never: a field that the
//! table has not, null, an empty object, an allocation for a line.
//!
//! A field's name is a path. Between two members that are written, objects are closed down to what
//! both paths share, and opened from there: for each depth that can be shared the text is made
//! beforehand. How much is shared is the least of what neighbours share along the steps between.

use std::sync::OnceLock;

use crate::emit::Origin;
use crate::emit::line::Line;
use crate::model::schema::{self, Described, Field, Get, Shown, Value};

/// The steps of one kind of event.
#[derive(Debug)]
pub(super) struct Plan<S: 'static> {
    steps: Box<[Step<S>]>,
}

#[derive(Debug)]
struct Step<S: 'static> {
    /// Objects that its path shares with that of the field before.
    shared: u8,
    /// Objects that are open behind it.
    depth: u8,
    /// What stands before its value, by the objects that are open already.
    openings: Box<[Text]>,
    what: What<S>,
}

#[derive(Debug)]
enum What<S: 'static> {
    Value(Get<S>),
    /// A member of the object at hand of a list.
    Member(for<'a> fn(&'a S, usize) -> Value<'a>),
    /// The same in every line: JSON, with members behind it that are so too.
    Fixed(Box<str>),
    /// A field of another event, as JSON.
    Carried(&'static str),
    Objects(fn(&S) -> usize, Plan<S>),
    /// The same, while members are gathered.
    Gathered(fn(&S) -> usize, Vec<Leaf<S>>),
    Part(Part<S>),
    Usual(Usual<S>),
}

/// Where a line stands.
#[derive(Debug)]
struct Path {
    /// Objects that are open.
    open: u8,
    /// Those of them that the step at hand shares.
    shared: u8,
}

/// An object that mostly has the same values: what it reads then, after how many open objects.
#[derive(Debug)]
struct Usual<S: 'static> {
    holds: fn(&S) -> bool,
    next: usize,
    /// The least that its members share with the field before it.
    shared: u8,
    depth: u8,
    text: OnceLock<(u8, Box<[u8]>)>,
}

/// Where the event lacks a part, the steps up to `next` write nothing.
#[derive(Debug)]
struct Part<S: 'static> {
    holds: fn(&S) -> bool,
    next: usize,
    /// The least that neighbours share in there.
    shared: u8,
}

/// A short text as it is copied: a block of known length, which is a few moves, and then the excess
/// is taken back.
#[derive(Debug)]
struct Text {
    block: [u8; 32],
    len: u8,
    rest: Box<str>,
}

impl Text {
    fn new(text: &str) -> Text {
        let split = (0..=32).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (head, rest) = text.split_at_checked(split).unwrap_or((text, ""));
        let mut block = [0; 32];
        for (slot, byte) in block.iter_mut().zip(head.bytes()) {
            *slot = byte;
        }
        Text { block, len: head.len() as u8, rest: rest.into() }
    }

    #[inline(always)]
    fn put(&self, out: &mut Vec<u8>) {
        let len = out.len();
        out.extend_from_slice(&self.block);
        out.truncate(len + usize::from(self.len));
        if !self.rest.is_empty() {
            out.extend_from_slice(self.rest.as_bytes());
        }
    }
}

/// A field on its way into a plan.
#[derive(Debug)]
struct Leaf<S: 'static> {
    path: Vec<&'static str>,
    what: What<S>,
}

impl<S: Described> Plan<S> {
    /// The plan of an event's table, for a sensor of that name (a JSON string).
    pub(super) fn new(sensor: &str) -> Plan<S> {
        let mut leaves: Vec<Leaf<S>> = Vec::new();
        for field in S::fields().iter().filter(|field| field.in_lines()) {
            put_leaf(&mut leaves, field, sensor);
            // What is carried stands between the sentence and what is ours.
            if field.name == "message" {
                let mut carried: Vec<&'static str> = Vec::new();
                for name in S::carries().concat() {
                    if !carried.contains(&name) {
                        carried.push(name);
                    }
                }
                leaves.extend(carried.into_iter().map(|name| Leaf {
                    path: name.split('.').collect(),
                    what: What::Carried(name),
                }));
            }
        }
        Plan::of(leaves, S::parts(), S::usual())
    }

    fn of(leaves: Vec<Leaf<S>>, parts: &[schema::Part<S>], usual: &[schema::Part<S>]) -> Plan<S> {
        let leaves = grouped(leaves, 0);
        let paths: Vec<Vec<&str>> = leaves.iter().map(|leaf| leaf.path.clone()).collect();
        let shared: Vec<u8> = (0..paths.len()).map(|i| shared_at(&paths, i)).collect();
        let mut steps: Vec<Step<S>> = Vec::new();
        // Where the steps of each field begin, those that may skip it among them.
        let mut starts = Vec::new();
        let mut ends: Vec<(usize, usize)> = Vec::new();
        for (at, leaf) in leaves.into_iter().enumerate() {
            starts.push(steps.len());
            for (prefix, holds) in parts.iter().filter(|(prefix, _)| begins(&paths, at, prefix)) {
                let inside = paths.iter().skip(at).take_while(|path| is_inside(path, prefix));
                let end = at + inside.count();
                ends.push((steps.len(), end));
                let least = shared.get(at..end).and_then(|all| all.iter().min());
                let part = Part { holds: *holds, next: 0, shared: least.copied().unwrap_or(0) };
                let (shared, openings) = (u8::MAX, Box::default());
                steps.push(Step { shared, depth: 0, openings, what: What::Part(part) });
            }
            let shared = shared.get(at).copied().unwrap_or(0);
            for (prefix, holds) in usual.iter().filter(|(prefix, _)| begins(&paths, at, prefix)) {
                let inside = paths.iter().skip(at).take_while(|path| is_inside(path, prefix));
                ends.push((steps.len(), at + inside.count()));
                let depth = prefix.split('.').count() as u8;
                let text = OnceLock::new();
                let usual = Usual { holds: *holds, next: 0, shared, depth, text };
                let (shared, openings) = (u8::MAX, Box::default());
                steps.push(Step { shared, depth: 0, openings, what: What::Usual(usual) });
            }
            push_leaf(&mut steps, leaf, shared);
        }
        starts.push(steps.len());
        for (at, end) in ends {
            let end = starts.get(end).copied().unwrap_or(usize::MAX);
            match steps.get_mut(at).map(|step| &mut step.what) {
                Some(What::Part(part)) => part.next = end,
                Some(What::Usual(usual)) => usual.next = end,
                _ => {}
            }
        }
        Plan { steps: steps.into() }
    }

    /// Appends one line, ending in a newline.
    pub(super) fn write_line(&self, event: &S, origin: &Origin, out: &mut Vec<u8>) {
        out.reserve(4_096);
        let mut line = Line::new(out, origin);
        self.write_object(event, 0, &mut line);
        line.out.push(b'\n');
    }

    /// Every member begins with a comma; that of the first becomes the brace.
    fn write_object(&self, event: &S, index: usize, line: &mut Line<'_>) {
        let start = line.out.len();
        let open = self.write_members(event, index, line);
        close(line.out, open);
        match line.out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => line.out.push(b'{'),
        }
        line.out.push(b'}');
    }

    /// Returns how many objects are open at the end.
    fn write_members(&self, event: &S, index: usize, line: &mut Line<'_>) -> u8 {
        let mut path = Path { open: 0, shared: 0 };
        self.write_steps((0, self.steps.len()), (event, index), &mut path, line);
        path.open
    }

    fn write_steps(
        &self,
        (mut next, end): (usize, usize),
        (event, index): (&S, usize),
        path: &mut Path,
        line: &mut Line<'_>,
    ) {
        while let Some(step) = self.steps.get(next).filter(|_| next < end) {
            next += 1;
            path.shared = step.shared.min(path.shared);
            match &step.what {
                What::Value(get) => {
                    let value = get(event);
                    if is_shown(&value) {
                        step.begin(path, line.out);
                        line.value(value);
                    }
                }
                What::Part(part) => {
                    if !(part.holds)(event) {
                        path.shared = part.shared.min(path.shared);
                        next = part.next;
                    }
                }
                What::Usual(usual) => {
                    if (usual.holds)(event) {
                        self.write_usual(usual, (next, event), path, line);
                        next = usual.next;
                    }
                }
                What::Fixed(json) => {
                    step.begin(path, line.out);
                    line.out.extend_from_slice(json.as_bytes());
                }
                What::Member(get) => {
                    let value = get(event, index);
                    if is_shown(&value) {
                        step.begin(path, line.out);
                        line.value(value);
                    }
                }
                What::Carried(name) => {
                    if let Some(json) = event.carried(name) {
                        step.begin(path, line.out);
                        line.json(json);
                    }
                }
                What::Gathered(..) => {}
                What::Objects(count, members) => {
                    let count = count(event);
                    if count > 0 {
                        step.begin(path, line.out);
                        members.write_list(event, count, line);
                    }
                }
            }
        }
    }

    /// Writes an object whose members all have their usual values: the first time step by step,
    /// then as it was written then.
    fn write_usual(
        &self,
        usual: &Usual<S>,
        (from, event): (usize, &S),
        path: &mut Path,
        line: &mut Line<'_>,
    ) {
        path.shared = usual.shared.min(path.shared);
        close(line.out, path.open - path.shared);
        path.open = path.shared;
        // Which objects are open before it is part of what was written.
        match usual.text.get() {
            Some((shared, text)) if *shared == path.shared => {
                line.out.extend_from_slice(text);
                (path.open, path.shared) = (usual.depth, usual.depth);
            }
            known => {
                let (start, shared) = (line.out.len(), path.shared);
                self.write_steps((from, usual.next), (event, 0), path, line);
                if known.is_none() && path.open == usual.depth {
                    let text = line.out.get(start..).unwrap_or_default();
                    // Another thread may have been first, with the same text.
                    drop(usual.text.set((shared, text.into())));
                }
            }
        }
    }

    fn write_list(&self, event: &S, count: usize, line: &mut Line<'_>) {
        line.out.push(b'[');
        for index in 0..count {
            if index > 0 {
                line.out.push(b',');
            }
            self.write_object(event, index, line);
        }
        line.out.push(b']');
    }
}

impl<S> Step<S> {
    /// Closes what the step does not share, opens the rest of its path.
    #[inline(always)]
    fn begin(&self, path: &mut Path, out: &mut Vec<u8>) {
        if path.open != path.shared {
            close(out, path.open - path.shared);
        }
        if let Some(opening) = self.openings.get(usize::from(path.shared)) {
            opening.put(out);
        }
        (path.open, path.shared) = (self.depth, self.depth);
    }
}

/// Neither absent nor a number that JSON has not.
#[inline(always)]
fn is_shown(value: &Value<'_>) -> bool {
    match value {
        Value::Absent => false,
        Value::Float(number) => number.is_finite(),
        _ => true,
    }
}

#[inline(always)]
fn close(out: &mut Vec<u8>, objects: u8) {
    let len = out.len();
    out.extend_from_slice(b"}}}}}}}}");
    out.truncate(len + usize::from(objects));
}

/// Adds a field; members of a list of objects are gathered where the first of them stands.
fn put_leaf<S: Described>(leaves: &mut Vec<Leaf<S>>, field: &Field<S>, sensor: &str) {
    let path: Vec<&'static str> = field.name.split('.').collect();
    let Some((list, get, _)) = field.each else {
        let what = match field.shown {
            Shown::Sensor => What::Fixed(sensor.into()),
            Shown::Fixed(json) => What::Fixed(json.into()),
            _ => What::Value(field.get),
        };
        return leaves.push(Leaf { path, what });
    };
    let head: Vec<&'static str> = list.name.split('.').collect();
    let member =
        Leaf { path: path.into_iter().skip(head.len()).collect(), what: What::Member(get) };
    let known = leaves.iter_mut().find(|leaf| leaf.path == head);
    match known.map(|leaf| &mut leaf.what) {
        Some(What::Gathered(_, members)) => members.push(member),
        _ => leaves.push(Leaf { path: head, what: What::Gathered(list.count, vec![member]) }),
    }
}

/// The fields with those of one object side by side, in the order in which objects are first named.
fn grouped<S>(leaves: Vec<Leaf<S>>, depth: usize) -> Vec<Leaf<S>> {
    let mut groups: Vec<(&'static str, Vec<Leaf<S>>)> = Vec::new();
    for leaf in leaves {
        let Some(name) = leaf.path.get(depth).copied() else { continue };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(leaf),
            None => groups.push((name, vec![leaf])),
        }
    }
    let inside = |(_, group): (&str, Vec<Leaf<S>>)| match group.len() {
        1 => group,
        _ => grouped(group, depth + 1),
    };
    groups.into_iter().flat_map(inside).collect()
}

/// How many objects the path at `at` shares with the one before.
fn shared_at(paths: &[Vec<&str>], at: usize) -> u8 {
    let (Some(path), Some(before)) = (paths.get(at), at.checked_sub(1).and_then(|i| paths.get(i)))
    else {
        return 0;
    };
    let same = path.iter().zip(before).take_while(|(a, b)| a == b).count();
    same.min(path.len() - 1).min(before.len() - 1) as u8
}

fn is_inside(path: &[&str], prefix: &str) -> bool {
    let mut names = path.iter();
    prefix.split('.').all(|name| names.next() == Some(&name))
}

/// Whether the object of that name begins with the field at `at`.
fn begins(paths: &[Vec<&str>], at: usize, prefix: &str) -> bool {
    let inside = |at: usize| paths.get(at).is_some_and(|path| is_inside(path, prefix));
    inside(at) && !at.checked_sub(1).is_some_and(inside)
}

/// Adds the step of a field; one that is the same in every line joins the one before that is so.
fn push_leaf<S: Described>(steps: &mut Vec<Step<S>>, leaf: Leaf<S>, shared: u8) {
    let depth = leaf.path.len() - 1;
    let mut openings: Vec<String> = (0..=depth).map(|known| opening(&leaf.path, known)).collect();
    if let (What::Fixed(json), Some(last)) = (&leaf.what, steps.last_mut())
        && let What::Fixed(before) = &mut last.what
        && let Some(opening) = openings.get_mut(usize::from(shared))
    {
        let closing = "}".repeat(usize::from(last.depth - shared));
        *before = format!("{before}{closing}{opening}{json}").into();
        last.depth = depth as u8;
        return;
    }
    let openings = openings.iter().map(|text| Text::new(text)).collect();
    let what = match leaf.what {
        What::Gathered(count, members) => What::Objects(count, Plan::of(members, &[], &[])),
        what => what,
    };
    steps.push(Step { shared, depth: depth as u8, openings, what });
}

/// What opens the objects of a path that are not open yet, and names its member.
fn opening(path: &[&str], known: usize) -> String {
    let names: Vec<String> = path.iter().skip(known).map(|name| format!("\"{name}\":")).collect();
    format!(",{}", names.join("{"))
}
