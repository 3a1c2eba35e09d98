//! Texts that one line repeats of those before it: seconds and addresses.
//!
//! Owns: a fixed number of them. In: times and addresses. Out: bytes appended to a buffer. Never: a
//! text other than a new one would be, or more of them: whoever chooses the addresses of packets
//! only has them written anew.

use crate::emit::text::{self, TimeCache};
use crate::model::{Addr, Nanos};

/// The text of an address with its quotes, in a block of constant length, and its true length.
type AddrText = ([u8; 48], u8);

/// Addresses whose texts are kept for the lines of a worker: a power of two.
const ADDRS: usize = 64;

/// The texts.
#[derive(Debug)]
pub struct Repeated {
    times: TimeCache,
    /// Each address has one place; a newer one replaces it.
    addrs: Box<[Option<(Addr, AddrText)>]>,
}

impl Default for Repeated {
    /// For many lines.
    fn default() -> Repeated {
        Repeated { times: TimeCache::new(), addrs: Box::new([None; ADDRS]) }
    }
}

impl Repeated {
    /// For one line, which repeats its own addresses.
    pub(super) fn of_one() -> Repeated {
        Repeated { times: TimeCache::new(), addrs: Box::new([None; 4]) }
    }

    /// A time between quotes.
    #[inline]
    pub(super) fn put_time(&mut self, out: &mut Vec<u8>, time: Nanos) {
        self.times.put_quoted(out, time);
    }

    /// An address between quotes.
    pub(super) fn put_addr(&mut self, out: &mut Vec<u8>, addr: Addr) {
        let Addr([.., high, low]) = addr;
        let place = usize::from(low ^ high.rotate_left(3)) & (self.addrs.len() - 1);
        let slot = self.addrs.get_mut(place);
        if let Some(Some((known, (block, len)))) = &slot
            && *known == addr
        {
            let end = out.len() + usize::from(*len);
            out.extend_from_slice(block);
            out.truncate(end);
            return;
        }
        let from = out.len();
        out.push(b'"');
        text::put_addr(out, addr);
        out.push(b'"');
        let written = out.get(from..).unwrap_or_default();
        let mut block = [0; 48];
        if let (Some(slot), Some(room)) = (slot, block.get_mut(..written.len())) {
            room.copy_from_slice(written);
            *slot = Some((addr, (block, written.len() as u8)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_address_is_written_as_a_new_one() {
        let v4 = (0..500u32).map(|n| Addr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n * 7)));
        let v6 = (0..500u128).map(|n| Addr((u128::MAX << 64 | n << 3).to_be_bytes()));
        let all: Vec<Addr> = v4.chain(v6).collect();
        for mut repeated in [Repeated::default(), Repeated::of_one()] {
            for addr in all.iter().flat_map(|addr| [addr, addr]).chain(&all) {
                let mut out = b"x".to_vec();
                repeated.put_addr(&mut out, *addr);
                assert_eq!(String::from_utf8(out).unwrap(), format!("x\"{addr}\""));
            }
        }
    }
}
