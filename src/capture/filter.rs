//! BPF filters in the language of pcap-filter(7), applied to frames read from files.
//!
//! Owns: compiled programs, one per link type. In: an expression, frames. Out: yes or no. Never: an
//! opinion about a frame of a link type that the expression cannot be compiled for: it is left out.

use pcap::BpfProgram;
use pcap::Capture;
use pcap::Linktype;

use crate::model::Error;
use crate::model::LinkType;

/// An expression compiled for one link type.
pub struct BpfFilter(BpfProgram);

impl BpfFilter {
    /// Compiles `expression` for frames of type `link`.
    ///
    /// # Errors
    /// What libpcap says about the expression, with a pointer to its manual.
    pub fn compile(expression: &str, link: LinkType) -> Result<BpfFilter, Error> {
        let refuse = |e: pcap::Error| {
            let cause = match e {
                pcap::Error::PcapError(text) => text,
                other => other.to_string(),
            };
            Error::new(format!("the filter `{expression}`"), cause).help(
                "write it as for tcpdump, such as 'tcp port 443 and not net 10.0.0.0/8'; \
                 man pcap-filter lists the words",
            )
        };
        let dead = Capture::dead(Linktype(kernel_number(link))).map_err(refuse)?;
        dead.compile(expression, true).map(BpfFilter).map_err(refuse)
    }

    /// Whether the frame passes. Its wire length counts as the captured length.
    pub fn matches(&self, frame: &[u8]) -> bool {
        self.0.filter(frame)
    }
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

    /// Whether the frame passes. Frames of a link type for which the expression has no meaning do
    /// not.
    pub fn matches(&mut self, link: LinkType, frame: &[u8]) -> bool {
        if let Some((_, program)) = self.programs.iter().find(|(l, _)| *l == link) {
            return program.as_ref().is_some_and(|p| p.matches(frame));
        }
        // A file may claim any of 65,536 types; beyond a few they are not remembered, only left
        // out.
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

/// The number libpcap uses in memory (DLT_) where it differs from the file's (LINKTYPE_) on Linux.
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
    fn the_same_words_mean_the_same_on_raw_and_ethernet() {
        let mut set = FilterSet::new("udp port 53 and host 10.0.0.2").unwrap();
        assert!(set.matches(LinkType::ETHERNET, &ethernet()));
        assert!(set.matches(LinkType::RAW, &IP));
        assert!(!set.matches(LinkType::RAW, &ethernet()));
        let mut set = FilterSet::new("tcp").unwrap();
        assert!(!set.matches(LinkType::ETHERNET, &ethernet()));
        assert!(!set.matches(LinkType::RAW, &[]));
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
    fn a_link_type_the_words_do_not_fit_leaves_its_frames_out() {
        let mut set = FilterSet::new("ether host 02:02:02:02:02:02").unwrap();
        assert!(set.matches(LinkType::ETHERNET, &ethernet()));
        assert!(!set.matches(LinkType(60_000), &ethernet()));
    }
}
