//! The interfaces of this machine, and the drop counters of their cards.
//!
//! Owns: nothing. In: libpcap's list, /sys. Out: names, states, counts. Never: changes an
//! interface.

use std::path::Path;

use crate::model::{Error, LinkType};

/// One interface, as `longhaul live --list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Up, with a link.
    pub running: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// All interfaces that can be captured on.
///
/// # Errors
/// libpcap's message.
pub fn list() -> Result<Vec<Interface>, Error> {
    let devices = pcap::Device::list();
    let devices = devices.map_err(|e| Error::new("the list of interfaces", e.to_string()))?;
    // libpcap lists pseudo-devices (any, nflog, usb) after the network interfaces.
    let real = devices.into_iter().filter(|d| d.flags.is_up() || !d.addresses.is_empty());
    let real = real.filter(|d| d.name != "any" && !d.name.starts_with("nf"));
    let interface = |device: pcap::Device| Interface {
        running: device.flags.is_running(),
        loopback: device.flags.is_loopback(),
        addresses: device.addresses.iter().map(|a| a.addr.to_string()).collect(),
        name: device.name,
    };
    Ok(real.map(interface).collect())
}

/// Frames that the card lost since it came up: `rx_missed_errors` (no room in the host) and
/// `rx_fifo_errors` (no room in the card) of /sys, provided that /sys shows the interface with this
/// index (it may show another network namespace). `rx_dropped` is not used: the kernel also counts
/// frames there whose protocol has no receiver on this machine, after a sensor has had them.
pub fn nic_drops(name: &str, index: u32) -> Option<u64> {
    // The name becomes part of a path: the kernel allows no slash in it, and `..` is no interface.
    let of_interface = Path::new("/sys/class/net").join(Path::new(name).file_name()?);
    let number = |file: &str| {
        let text = std::fs::read_to_string(of_interface.join(file)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    (number("ifindex")? == u64::from(index)).then_some(())?;
    let missed = number("statistics/rx_missed_errors")?;
    Some(missed.saturating_add(number("statistics/rx_fifo_errors")?))
}

/// The link type of an interface's frames on a packet socket, by hardware type (`ARPHRD_` of
/// linux/if_arp.h).
pub(super) fn link_of(hardware: u16) -> Option<LinkType> {
    match hardware {
        // Ethernet; loopback, which has Ethernet headers too.
        1 | 772 => Some(LinkType::ETHERNET),
        // No link header: PPP as the kernel shows it, raw IP, IPIP, IPv6 tunnels, SIT; and tun and
        // WireGuard.
        512 | 519 | 768 | 769 | 776 | 0xfffe => Some(LinkType::RAW),
        801 => Some(LinkType::IEEE802_11),
        803 => Some(LinkType::IEEE802_11_RADIOTAP),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_interface_of_this_name_and_index_has_a_count() {
        // No interface has the index 0.
        assert_eq!(nic_drops("lo", 0), None);
        assert_eq!(nic_drops("../../class/net/lo", 0), None);
        assert_eq!(nic_drops("..", 1), None);
    }

    #[test]
    fn frames_begin_by_the_kind_of_hardware() {
        assert_eq!(
            [1, 772, 0xfffe, 801].map(link_of),
            [
                Some(LinkType::ETHERNET),
                Some(LinkType::ETHERNET),
                Some(LinkType::RAW),
                Some(LinkType::IEEE802_11),
            ]
        );
        assert_eq!(link_of(32), None, "InfiniBand");
    }
}
