//! Payload signatures: recognises applications by the first bytes of both directions.
//!
//! Owns: compiled patterns and their look-up. In: the first bytes of a direction. Out: the patterns
//! that match, and the application that both directions match. Never: state of a session, an
//! allocation in a look-up, parsing.

use std::sync::Arc;

use crate::model::Transport;

/// Longest pattern, in bytes, with its offset.
pub const PATTERN_BYTES_MAX: usize = 64;

/// One pattern over the first bytes of a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Bytes from the beginning; `None` matches any.
    pub bytes: Vec<Option<u8>>,
    /// Shortest segment or datagram that matches.
    pub min: usize,
}

impl Pattern {
    /// Number of fixed bytes.
    pub fn fixed(&self) -> usize {
        self.bytes.iter().flatten().count()
    }

    fn fits(&self, payload: &[u8]) -> bool {
        let fits = |(want, have): (&Option<u8>, &u8)| want.is_none_or(|want| want == *have);
        payload.len() >= self.min.max(self.bytes.len()) && self.bytes.iter().zip(payload).all(fits)
    }
}

/// The signature of an application: first bytes of one direction, or of both, which must both
/// match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The application.
    pub application: Arc<str>,
    /// TCP or UDP.
    pub transport: Transport,
    /// The responder's port, if required.
    pub port: Option<u16>,
    /// Pattern of the initiator's first bytes.
    pub initiator: Option<Pattern>,
    /// Pattern of the responder's first bytes.
    pub responder: Option<Pattern>,
}

/// The shapes that a direction's first bytes match: one bit each.
pub type Fits = u64;

/// Most shapes of one transport.
pub const SHAPES_MAX: usize = Fits::BITS as usize;

/// Shapes of one transport.
#[derive(Clone, Debug, Default)]
struct Side {
    shapes: Vec<Shape>,
    /// Shapes that may begin with a byte, by direction: most look-ups end here.
    starts: Box<[[Fits; 2]]>,
}

/// Every shape of a table. Immutable.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    tcp: Side,
    udp: Side,
    /// Identifies the table: bits of one table are not valid in another.
    table: u32,
}

impl Matcher {
    /// Compiles a table; returns the shapes beyond [`SHAPES_MAX`] of a transport.
    pub fn build(shapes: Vec<Shape>, table: u32) -> (Matcher, Vec<Shape>) {
        let mut matcher = Matcher { table, ..Matcher::default() };
        let mut rest = Vec::new();
        for shape in shapes {
            let side = match shape.transport {
                Transport::TCP => &mut matcher.tcp,
                Transport::UDP => &mut matcher.udp,
                _ => {
                    rest.push(shape);
                    continue;
                }
            };
            if side.shapes.len() < SHAPES_MAX { &mut side.shapes } else { &mut rest }.push(shape);
        }
        matcher.tcp.index();
        matcher.udp.index();
        (matcher, rest)
    }

    /// The id of the table.
    pub const fn table(&self) -> u32 {
        self.table
    }

    /// The shapes that a direction's first bytes match.
    pub fn look(&self, transport: Transport, port: u16, initiator: bool, payload: &[u8]) -> Fits {
        let (Some(side), Some(first)) = (self.side(transport), payload.first()) else { return 0 };
        let starts = side.starts.get(usize::from(*first)).copied().unwrap_or_default();
        let [from, to] = starts;
        let mut open = if initiator { from } else { to };
        let mut fits = 0;
        while open != 0 {
            let at = open.trailing_zeros();
            open &= open - 1;
            let Some(shape) = side.shapes.get(at as usize) else { continue };
            let pattern = if initiator { &shape.initiator } else { &shape.responder };
            if shape.port.is_none_or(|want| want == port)
                && pattern.as_ref().is_some_and(|pattern| pattern.fits(payload))
            {
                fits |= 1 << at;
            }
        }
        fits
    }

    /// The application that the first bytes of both directions match: the first shape of the table
    /// whose patterns all match.
    pub fn application(
        &self,
        transport: Transport,
        initiator: Fits,
        responder: Fits,
    ) -> Option<Arc<str>> {
        let mut shapes = (0u32..).zip(&self.side(transport)?.shapes);
        let whole = |at: u32, shape: &Shape| {
            let bit = 1 << at;
            (shape.initiator.is_none() || initiator & bit != 0)
                && (shape.responder.is_none() || responder & bit != 0)
                && (initiator | responder) & bit != 0
        };
        shapes
            .find(|(at, shape)| whole(*at, shape))
            .map(|(_, shape)| Arc::clone(&shape.application))
    }

    const fn side(&self, transport: Transport) -> Option<&Side> {
        match transport {
            Transport::TCP => Some(&self.tcp),
            Transport::UDP => Some(&self.udp),
            _ => None,
        }
    }
}

impl Side {
    fn index(&mut self) {
        let may = |pattern: &Option<Pattern>, first: u8| {
            let start = pattern.as_ref().map(|pattern| pattern.bytes.first().copied().flatten());
            start.is_some_and(|start| start.is_none_or(|want| want == first))
        };
        let bits = |first: u8, of: fn(&Shape) -> &Option<Pattern>| {
            let fit = (0u32..).zip(&self.shapes).filter(|(_, shape)| may(of(shape), first));
            fit.fold(0, |all, (at, _)| all | 1u64 << at)
        };
        self.starts = (0..=u8::MAX)
            .map(|first| [bits(first, |s| &s.initiator), bits(first, |s| &s.responder)])
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(bytes: &[Option<u8>], min: usize) -> Option<Pattern> {
        Some(Pattern { bytes: bytes.to_vec(), min })
    }

    fn shape(name: &str, from: Option<Pattern>, to: Option<Pattern>) -> Shape {
        let transport = Transport::TCP;
        let application = name.into();
        Shape { application, transport, port: None, initiator: from, responder: to }
    }

    fn recognised(matcher: &Matcher, from: &[u8], to: &[u8]) -> Option<String> {
        let tcp = Transport::TCP;
        let fits = (matcher.look(tcp, 9, true, from), matcher.look(tcp, 9, false, to));
        matcher.application(tcp, fits.0, fits.1).map(|name| name.to_string())
    }

    #[test]
    fn both_directions_must_match_if_both_are_given() {
        let both = shape("both", pattern(&[Some(0x17), Some(0x24)], 4), pattern(&[Some(0x11)], 0));
        let alone = shape("alone", pattern(&[None, Some(b'Z'), Some(b'Y')], 0), None);
        let (matcher, rest) = Matcher::build(vec![both, alone], 1);
        assert!(rest.is_empty());
        assert_eq!(recognised(&matcher, &[0x17, 0x24, 0, 0], &[0x11]).as_deref(), Some("both"));
        assert_eq!(recognised(&matcher, &[0x17, 0x24, 0], &[0x11]), None);
        assert_eq!(recognised(&matcher, &[0x17, 0x24, 0, 0], &[]), None);
        assert_eq!(recognised(&matcher, b"?ZY", b"anything").as_deref(), Some("alone"));
        assert_eq!(recognised(&matcher, b"?Z", b""), None);
    }

    #[test]
    fn a_port_that_is_named_must_be_the_responders() {
        let mut bound = shape("bound", pattern(&[Some(1), Some(2)], 0), None);
        bound.port = Some(10);
        let (matcher, _) = Matcher::build(vec![bound], 1);
        assert_eq!(recognised(&matcher, &[1, 2], &[]), None);
        assert_ne!(matcher.look(Transport::TCP, 10, true, &[1, 2]), 0);
        assert_eq!(matcher.look(Transport::UDP, 10, true, &[1, 2]), 0);
        assert_eq!(matcher.look(Transport::ICMP, 10, true, &[1, 2]), 0);
    }

    #[test]
    fn shapes_beyond_the_cap_are_returned() {
        let one = || shape("a", pattern(&[Some(1), Some(2)], 0), None);
        let (_, rest) = Matcher::build((0..=SHAPES_MAX).map(|_| one()).collect(), 1);
        assert_eq!(rest.len(), 1);
    }
}
