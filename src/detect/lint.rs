//! What a rule says that its author hardly means.
//!
//! Owns: conditions that can never hold. In: a compiled condition. Out: whether there is an event
//! for which it could hold, as far as that can be told. Never: a wrong alarm: what it cannot tell
//! may hold.

use crate::detect::predicate::{Node, Order, Test};
use crate::model::schema::{Judged, Kind};

/// Whether a condition could hold for some event.
pub(super) fn can_hold<S: Judged>(node: &Node<S>) -> bool {
    match node {
        Node::Named(node, _) => can_hold(node),
        Node::Any(nodes) => nodes.iter().any(can_hold),
        Node::AtLeast(n, nodes) => nodes.iter().filter(|node| can_hold(node)).count() >= *n,
        Node::All(_) => {
            let mut parts = Vec::new();
            flatten(node, &mut parts);
            let apart = parts.iter().all(|part| matches!(part, Node::All(_)) || can_hold(part));
            let pairs = parts.iter().enumerate();
            apart
                && pairs
                    .clone()
                    .all(|(at, one)| parts.iter().skip(at + 1).all(|other| !contradict(one, other)))
        }
        Node::Is(_, test) => can_be(test),
        Node::Present(..) | Node::Same { .. } | Node::Not(_) => true,
    }
}

/// Everything that must hold at once.
fn flatten<'n, S: Judged>(node: &'n Node<S>, parts: &mut Vec<&'n Node<S>>) {
    match node {
        Node::All(nodes) => nodes.iter().for_each(|node| flatten(node, parts)),
        Node::Named(inner, _) if matches!(&**inner, Node::All(_)) => {
            // Itself, too: its opposite may be among the others.
            parts.push(node);
            flatten(inner, parts);
        }
        Node::Named(inner, _) if matches!(&**inner, Node::Is(..) | Node::Present(..)) => {
            parts.push(node);
            parts.push(inner);
        }
        node => parts.push(node),
    }
}

fn contradict<S: Judged>(one: &Node<S>, other: &Node<S>) -> bool {
    match (one, other) {
        (Node::Named(a, _), Node::Not(not)) | (Node::Not(not), Node::Named(a, _)) => {
            matches!(&**not, Node::Named(b, _) if std::sync::Arc::ptr_eq(a, b))
        }
        (Node::Present(a, here), Node::Present(b, there)) => a.name == b.name && here != there,
        (Node::Present(a, false), Node::Is(b, _)) | (Node::Is(b, _), Node::Present(a, false)) => {
            a.name == b.name
        }
        (Node::Is(a, this), Node::Is(b, that)) => {
            let several = matches!(a.kind, Kind::Texts | Kind::Ips);
            a.name == b.name && !several && !both(this, that)
        }
        _ => false,
    }
}

/// Whether a test could hold by itself.
fn can_be(test: &Test) -> bool {
    match test {
        Test::AllOf(all) => all
            .iter()
            .enumerate()
            .all(|(at, one)| all.iter().skip(at + 1).all(|other| both(one, other)) && can_be(one)),
        Test::AnyOf(all) => all.iter().any(can_be),
        _ => true,
    }
}

/// Whether one value could pass both tests.
fn both(one: &Test, other: &Test) -> bool {
    match (one, other) {
        (Test::AnyOf(all), other) | (other, Test::AnyOf(all)) => {
            all.iter().any(|one| both(one, other))
        }
        (Test::Number(a, x), Test::Number(b, y)) => meet((*a, *x), (*b, *y)),
        (Test::Flag(a), Test::Flag(b)) => a == b,
        (Test::Address(a), Test::Address(b)) => a == b,
        (Test::Address(a), Test::Inside(prefix)) | (Test::Inside(prefix), Test::Address(a)) => {
            prefix.holds(*a)
        }
        (Test::Text(a), Test::Text(b)) if a.is_cased() == b.is_cased() => {
            match (a.as_whole(), b.as_whole()) {
                (Some(x), Some(_)) => b.matches(x) || a.matches(b.as_whole().unwrap_or_default()),
                (Some(x), None) => b.matches(x),
                (None, Some(y)) => a.matches(y),
                (None, None) => true,
            }
        }
        _ => true,
    }
}

/// Whether a number lies within both bounds.
fn meet((a, x): (Order, f64), (b, y): (Order, f64)) -> bool {
    let near = [x, y, x.next_up(), x.next_down(), y.next_up(), y.next_down()];
    near.into_iter().any(|have| a.holds(have, x) && b.holds(have, y))
}
