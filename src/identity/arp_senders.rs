//! Devices whose ARP requests give other devices' hardware addresses as their sender's.
//!
//! Owns: of each such device the addresses it gave, eight at most. In: ARP packets. Out: how many
//! different ones there are. Never: counts a probe of a device for itself, or judges.
//!
//! Before it uses an address a host probes for it: sender IP 0.0.0.0, sender hardware address its
//! own (RFC 5227 section 2.1.1). Bits in that field reach every host of the segment and no router.
//!
//! Policy at the cap: devices go that gave none for longest, counted with the other evictions of
//! identities.

use crate::bounded::Aging;
use crate::model::{Addr, Place};
use crate::wire::arp::ArpPacket;

/// Addresses kept of a device: more say no more.
const KEPT: usize = 8;

/// What is known of one device.
#[derive(Clone, Copy, Debug, Default)]
struct Senders {
    kept: [[u8; 6]; KEPT],
    count: u8,
    /// The address that it uses itself.
    own: Option<Place>,
}

/// The devices.
#[derive(Debug)]
pub(super) struct ArpSenders {
    devices: Aging<[u8; 6], Senders>,
    evicted: u64,
}

impl ArpSenders {
    /// Room for `cap` devices.
    pub(super) fn new(cap: usize) -> ArpSenders {
        let devices = Aging::new(cap, |_| size_of::<Senders>());
        ArpSenders { devices, evicted: 0 }
    }

    /// Takes a packet that a device sent at a capture point. If that says something new: the
    /// address that it uses, where known, and how many senders it gave.
    pub(super) fn observe(
        &mut self,
        (device, point): ([u8; 6], u16),
        packet: &ArpPacket,
    ) -> Option<(Option<Place>, u8)> {
        let unspecified = packet.sender_ip.is_unspecified();
        let own = packet.sender == device;
        if own && !unspecified {
            let known = self.devices.get(&device)?;
            let place = Some((point, Addr::from(packet.sender_ip)));
            if known.own == place {
                return None;
            }
            return Some(self.change(device, |known| known.own = place));
        }
        if own || !unspecified || !packet.request {
            return None;
        }
        if let Some(known) = self.devices.get(&device) {
            let count = usize::from(known.count);
            if count >= KEPT || known.kept.iter().take(count).any(|had| *had == packet.sender) {
                return None;
            }
        }
        let sender = packet.sender;
        Some(self.change(device, |known| {
            if let Some(slot) = known.kept.get_mut(usize::from(known.count)) {
                *slot = sender;
                known.count += 1;
            }
        }))
    }

    fn change(
        &mut self,
        device: [u8; 6],
        change: impl FnOnce(&mut Senders),
    ) -> (Option<Place>, u8) {
        let (result, dropped) = self.devices.update(device, Senders::default, |known| {
            change(known);
            (known.own, known.count)
        });
        self.evicted += dropped as u64;
        result
    }

    /// Devices evicted at the cap since the last call.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const DEVICE: [u8; 6] = [0xdc, 0xa6, 0x32, 0, 0, 1];

    fn probe(sender: [u8; 6]) -> ArpPacket {
        ArpPacket { request: true, sender, sender_ip: Ipv4Addr::UNSPECIFIED }
    }

    const fn other(n: u8) -> [u8; 6] {
        [2, 0, 0, 0, 0, n]
    }

    #[test]
    fn only_others_addresses_in_probes_count_and_each_once() {
        let mut senders = ArpSenders::new(16);
        let mut see = |packet: ArpPacket| senders.observe((DEVICE, 0), &packet);
        assert_eq!(see(probe(DEVICE)), None, "its own probe");
        let ip = Ipv4Addr::new(10, 0, 0, 7);
        assert_eq!(see(ArpPacket { sender_ip: ip, ..probe(other(1)) }), None, "a proxy's");
        assert_eq!(see(ArpPacket { request: false, ..probe(other(1)) }), None);
        assert_eq!(see(probe(other(1))), Some((None, 1)));
        assert_eq!(see(probe(other(1))), None, "again");
        assert_eq!(see(probe(other(2))), Some((None, 2)));
        let own = Some((0, Addr::from(ip)));
        assert_eq!(see(ArpPacket { sender_ip: ip, ..probe(DEVICE) }), Some((own, 2)));
        assert_eq!(see(ArpPacket { sender_ip: ip, ..probe(DEVICE) }), None, "known");
        let counts: Vec<_> = (3..50).filter_map(|n| see(probe(other(n)))).collect();
        assert_eq!((counts.len(), counts.last()), (6, Some(&(own, 8))));
    }

    #[test]
    fn devices_are_capped() {
        let mut senders = ArpSenders::new(16);
        for n in 0..100 {
            assert_eq!(senders.observe((other(n), 0), &probe(DEVICE)), Some((None, 1)));
        }
        assert!(senders.take_evicted() >= 80);
    }
}
