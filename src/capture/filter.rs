//! BPF filters in the language of pcap-filter(7), for frames read from files or as a kernel
//! program.
//!
//! Owns: compiled programs, one per link type. In: an expression, frames. Out: whether a frame
//! matches. Never: guesses: a frame whose link type the expression cannot be compiled for does not
//! match.

use pcap::{BpfProgram, Capture, Linktype};

use crate::model::{Error, LinkType};

/// An expression compiled for one link type.
pub struct BpfFilter(BpfProgram);

impl BpfFilter {
    /// Compiles `expression` for frames of type `link`.
    ///
    /// # Errors
    /// libpcap's message, with a pointer to its manual.
    pub fn compile(expression: &str, link: LinkType) -> Result<BpfFilter, Error> {
        let refuse = |e| refused(expression, e);
        let dead = Capture::dead(Linktype(kernel_number(link))).map_err(refuse)?;
        dead.compile(expression, true).map(BpfFilter).map_err(refuse)
    }

    /// Whether the frame passes. Its wire length counts as the captured length.
    pub fn matches(&self, frame: &[u8]) -> bool {
        self.0.filter(frame)
    }
}

/// One instruction of a classic BPF program (`struct sock_filter` of linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Jump if true.
    pub jt: u8,
    /// Jump if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `BPF_RET | BPF_K`: ends the program; the operand is the number of bytes of the frame to keep.
const RETURN: u16 = 0x06;

impl Instruction {
    /// A whole program that rejects every frame.
    pub const REFUSE: Instruction = Instruction::accept(0);

    /// A whole program that accepts every frame, cut to `snaplen` bytes.
    pub const fn accept(snaplen: u32) -> Instruction {
        Instruction { code: RETURN, jt: 0, jf: 0, k: snaplen }
    }
}

/// The program that libpcap compiles from `expression` for an open capture (on a live one it knows
/// that the kernel keeps VLAN tags beside the frame), keeping `snaplen` bytes of each match.
///
/// # Errors
/// As [`BpfFilter::compile`].
pub fn instructions<T: pcap::Activated>(
    capture: &Capture<T>,
    expression: &str,
    snaplen: u32,
) -> Result<Vec<Instruction>, Error> {
    let program = capture.compile(expression, true).map_err(|e| refused(expression, e))?;
    let listed = program.get_instructions().iter().map(|line| parse(&line.to_string(), snaplen));
    let unreadable = || Error::new(format!("the filter `{expression}`"), "it cannot be compiled");
    listed.collect::<Option<Vec<_>>>().ok_or_else(unreadable)
}

/// Parses an instruction as the `pcap` crate prints it: four numbers.
fn parse(line: &str, snaplen: u32) -> Option<Instruction> {
    let mut words = line.split(' ');
    let code = words.next()?.parse().ok()?;
    let (jt, jf) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let k = words.next()?.parse().ok()?;
    let k = if code == RETURN && k != 0 { snaplen } else { k };
    Some(Instruction { code, jt, jf, k })
}

fn refused(expression: &str, e: pcap::Error) -> Error {
    let cause = match e {
        pcap::Error::PcapError(text) => text,
        other => other.to_string(),
    };
    Error::new(format!("the filter `{expression}`"), cause).help(
        "write it as for tcpdump, such as 'tcp port 443 and not net 10.0.0.0/8'; \
         man pcap-filter lists the words",
    )
}

/// One expression for frames of any link type; programs are compiled when a link type first
/// appears.
pub struct FilterSet {
    expression: String,
    programs: Vec<(LinkType, Option<BpfFilter>)>,
}

impl FilterSet {
    /// Checks `expression` by compiling it for Ethernet.
    ///
    /// # Errors
    /// As [`BpfFilter::compile`].
    pub fn new(expression: &str) -> Result<FilterSet, Error> {
        let ethernet = BpfFilter::compile(expression, LinkType::ETHERNET)?;
        let programs = vec![(LinkType::ETHERNET, Some(ethernet))];
        Ok(FilterSet { expression: expression.to_owned(), programs })
    }

    /// Whether the frame matches. Frames of a link type that the expression does not apply to never
    /// match.
    pub fn matches(&mut self, link: LinkType, frame: &[u8]) -> bool {
        if let Some((_, program)) = self.programs.iter().find(|(l, _)| *l == link) {
            return program.as_ref().is_some_and(|p| p.matches(frame));
        }
        // A file may use any of 65,536 link types; beyond a few, programs are not cached and frames
        // do not match.
        if self.programs.len() >= LINK_TYPES_MAX {
            return false;
        }
        let program = BpfFilter::compile(&self.expression, link).ok();
        let passes = program.as_ref().is_some_and(|p| p.matches(frame));
        self.programs.push((link, program));
        passes
    }
}

const LINK_TYPES_MAX: usize = 64;

/// The number that libpcap uses in memory (DLT_), if on Linux it differs from the file's
/// (LINKTYPE_).
fn kernel_number(link: LinkType) -> i32 {
    match link {
        LinkType::RAW => 12,
        LinkType(100) => 11,
        LinkType(other) => i32::from(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 header: UDP from 10.0.0.1 to 10.0.0.2, then ports 53 and 4660.
    const IP: [u8; 28] = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0x12, 0x34, 0,
        8, 0, 0,
    ];

    fn ethernet() -> Vec<u8> {
        [&[2u8; 12][..], &[8, 0], &IP[..]].concat()
    }

    #[test]
    fn a_filter_selects_the_same_packets_on_raw_ip_and_ethernet() {
        let mut set = FilterSet::new("udp port 53 and host 10.0.0.2").unwrap();
        assert!(set.matches(LinkType::ETHERNET, &ethernet()));
        assert!(set.matches(LinkType::RAW, &IP));
        assert!(!set.matches(LinkType::RAW, &ethernet()));
        let mut set = FilterSet::new("tcp").unwrap();
        assert!(!set.matches(LinkType::ETHERNET, &ethernet()));
        assert!(!set.matches(LinkType::RAW, &[]));
    }

    #[test]
    fn a_filter_program_keeps_the_requested_bytes() {
        let dead = Capture::dead(Linktype::ETHERNET).unwrap();
        let program = instructions(&dead, "tcp", 300_000).unwrap();
        let ends: Vec<u32> = program.iter().filter(|i| i.code == RETURN).map(|i| i.k).collect();
        assert_eq!(ends, [300_000, 0]);
        assert!(instructions(&dead, "tcp prot", 1).is_err());
    }

    #[test]
    fn a_bad_expression_is_an_error_with_help() {
        let error = BpfFilter::compile("tcp prot 80", LinkType::ETHERNET).err().unwrap();
        assert!(error.what.contains("tcp prot 80"));
        assert!(!error.cause.is_empty());
        assert!(error.help.unwrap().contains("pcap-filter"));
        assert!(BpfFilter::compile("a\0b", LinkType::ETHERNET).is_err());
    }

    #[test]
    fn frames_of_a_link_type_without_a_filter_are_left_out() {
        let mut set = FilterSet::new("ether host 02:02:02:02:02:02").unwrap();
        assert!(set.matches(LinkType::ETHERNET, &ethernet()));
        assert!(!set.matches(LinkType(60_000), &ethernet()));
    }
}
