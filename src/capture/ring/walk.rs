//! The packets of one ring block: headers in, frames out; and VLAN tags restored.
//!
//! Owns: nothing. In: the bytes of a block. Out: the offset of each frame, and the fields of its
//! header.
//! Never: trusts an offset: one that leads outside the block ends the walk.
//!
//! Layout: `struct tpacket3_hdr` of linux/if_packet.h, followed by a `sockaddr_ll`.

use crate::model::Nanos;

/// Bytes of a packet's header with its address; the frame cannot start before their end.
const HEADER: usize = 68;
/// Bytes of an 802.1Q tag, and the headroom that the ring leaves before each frame.
pub(super) const TAG: usize = 4;
/// The two Ethernet addresses, which precede the tag.
const ADDRESSES: usize = 12;

/// The fields of a packet's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) time: Nanos,
    /// Offset of the frame.
    pub(super) at: usize,
    pub(super) captured: u32,
    pub(super) wire_len: u32,
    pub(super) status: u32,
    /// `PACKET_HOST`, `PACKET_OUTGOING` and so on.
    pub(super) kind: u8,
    /// Offset of the next header; `None` after the last packet.
    pub(super) next: Option<usize>,
}

/// Reads the header at `at`. `None` if it is not inside the block.
#[inline]
pub(super) fn read(bytes: &[u8], at: usize) -> Option<Slot> {
    let head = bytes.get(at..)?.first_chunk::<HEADER>()?;
    let (next, sec, nsec) = (word(head, 0), word(head, 4), word(head, 8));
    let captured = word(head, 12);
    let [.., m0, m1, _, _] = head.first_chunk::<28>()?;
    let frame = at + usize::from(u16::from_ne_bytes([*m0, *m1]));
    // The frame must end inside the block.
    bytes.get(frame..)?.get(..captured as usize)?;
    let [.., kind] = head.first_chunk::<59>()?;
    Some(Slot {
        time: Nanos::from_secs(u64::from(sec)).plus(Nanos(u64::from(nsec))),
        at: frame,
        captured,
        wire_len: word(head, 16).max(captured),
        status: word(head, 20),
        kind: *kind,
        next: (next != 0).then(|| at + next as usize),
    })
}

#[inline]
fn word(head: &[u8; HEADER], at: usize) -> u32 {
    let bytes = head.get(at..).and_then(|rest| rest.first_chunk::<4>());
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// Restores VLAN tags. The kernel removes a frame's outermost tag and stores it in the header. The
/// addresses move four bytes forward into the headroom, and the tag follows them. Returns the
/// number of tags restored.
pub(super) fn put_tags_back(bytes: &mut [u8], first: usize, packets: u32) -> u32 {
    let mut tags = 0;
    let mut at = first;
    for _ in 0..packets {
        let Some(slot) = read(bytes, at) else { return tags };
        if slot.status & libc::TP_STATUS_VLAN_VALID != 0 && put_tag_back(bytes, at, &slot).is_some()
        {
            tags += 1;
        }
        let Some(next) = slot.next else { return tags };
        at = next;
    }
    tags
}

fn put_tag_back(bytes: &mut [u8], at: usize, slot: &Slot) -> Option<()> {
    let start = slot.at.checked_sub(TAG).filter(|start| *start >= at + HEADER)?;
    if (slot.captured as usize) < ADDRESSES {
        return None;
    }
    let header = bytes.get_mut(at..at + HEADER)?;
    let tci = header.get(32..34)?.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b))?;
    let tpid = header.get(36..38)?.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b))?;
    let known = slot.status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    let tpid = if known { tpid } else { 0x8100 };
    let frame_at = u16::try_from(start - at).ok()?;
    header.get_mut(24..26)?.copy_from_slice(&frame_at.to_ne_bytes());
    let longer = |n: u32| (n + TAG as u32).to_ne_bytes();
    header.get_mut(12..16)?.copy_from_slice(&longer(slot.captured));
    header.get_mut(16..20)?.copy_from_slice(&longer(slot.wire_len));
    bytes.copy_within(slot.at..slot.at + ADDRESSES, start);
    let [t0, t1] = tpid.to_be_bytes();
    let [c0, c1] = tci.to_be_bytes();
    let tag = bytes.get_mut(start + ADDRESSES..start + ADDRESSES + TAG)?;
    tag.copy_from_slice(&[t0, t1, c0, c1]);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header at 0 with its frame at 72, as the kernel lays them out.
    fn block(frame: &[u8], status: u32, tci: u16, tpid: u16) -> Vec<u8> {
        let mut bytes = vec![0u8; 72];
        let len = (frame.len() as u32).to_ne_bytes();
        bytes[4..8].copy_from_slice(&7u32.to_ne_bytes());
        bytes[8..12].copy_from_slice(&9u32.to_ne_bytes());
        bytes[12..16].copy_from_slice(&len);
        bytes[16..20].copy_from_slice(&len);
        bytes[20..24].copy_from_slice(&status.to_ne_bytes());
        bytes[24..26].copy_from_slice(&72u16.to_ne_bytes());
        bytes[32..36].copy_from_slice(&u32::from(tci).to_ne_bytes());
        bytes[36..38].copy_from_slice(&tpid.to_ne_bytes());
        bytes[58] = 4;
        bytes.extend_from_slice(frame);
        bytes
    }

    #[test]
    fn a_packet_without_a_tag_is_read_unchanged() {
        let bytes = block(b"0123456789ab..payload", 1, 0, 0);
        let slot = read(&bytes, 0).unwrap();
        assert_eq!((slot.time, slot.at, slot.captured), (Nanos(7_000_000_009), 72, 21));
        assert_eq!((slot.kind, slot.next), (4, None));
        assert!(read(&bytes, 30).is_none(), "a header that leads outside");
        assert!(read(&bytes[..80], 0).is_none(), "a frame that leads outside");
    }

    #[test]
    fn a_vlan_tag_is_restored_in_the_frame() {
        let known = libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
        for (status, tpid, expected) in
            [(known, 0x88a8, 0x88a8), (libc::TP_STATUS_VLAN_VALID, 0, 0x8100u16)]
        {
            let mut bytes = block(b"0123456789ab\x08\x00rest", status, 0x6064, tpid);
            assert_eq!(put_tags_back(&mut bytes, 0, 1), 1);
            let slot = read(&bytes, 0).unwrap();
            let frame = &bytes[slot.at..slot.at + slot.captured as usize];
            let tag = [&expected.to_be_bytes()[..], &[0x60, 0x64]].concat();
            assert_eq!(frame, [b"0123456789ab", &tag[..], b"\x08\x00rest"].concat());
            assert_eq!((slot.wire_len, slot.kind), (22, 4));
        }
    }

    #[test]
    fn a_frame_too_short_for_addresses_keeps_its_bytes() {
        let mut bytes = block(b"short", libc::TP_STATUS_VLAN_VALID, 5, 0);
        let before = bytes.clone();
        assert_eq!(put_tags_back(&mut bytes, 0, 1), 0);
        assert_eq!(bytes, before);
    }
}
