//! The interfaces of this machine: what there is, and what their cards have dropped.
//!
//! Owns: nothing. In: the system's own lists. Out: names, states, counts.
//! Never: changes an interface.

use std::path::Path;

use crate::model::Error;
use crate::model::LinkType;

/// One interface, as `longhaul live --list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Up, and with a link.
    pub running: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// Every interface that frames can be captured on.
///
/// # Errors
/// What libpcap says.
pub fn list() -> Result<Vec<Interface>, Error> {
    let devices = pcap::Device::list();
    let devices = devices.map_err(|e| Error::new("the list of interfaces", e.to_string()))?;
    // libpcap lists sources that are no network interfaces (any, nflog, usb) behind the real ones.
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
/// `rx_fifo_errors` (no room in the card) of /sys, as long as that shows the interface with this
/// index (it may show another network namespace's). `rx_dropped` is left out: there the kernel also
/// counts each frame whose protocol nobody on this machine speaks, after a sensor has had it.
pub fn nic_drops(name: &str, index: u32) -> Option<u64> {
    // A name is part of a path: the kernel allows no slash in it, and `..` is no interface.
    let of_interface = Path::new("/sys/class/net").join(Path::new(name).file_name()?);
    let number = |file: &str| {
        let text = std::fs::read_to_string(of_interface.join(file)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    (number("ifindex")? == u64::from(index)).then_some(())?;
    let missed = number("statistics/rx_missed_errors")?;
    Some(missed.saturating_add(number("statistics/rx_fifo_errors")?))
}

/// How frames of a hardware type (`ARPHRD_` of linux/if_arp.h) begin on a packet socket.
pub(super) fn link_of(hardware: u16) -> Option<LinkType> {
    match hardware {
        // Ethernet; loopback, which has Ethernet headers too.
        1 | 772 => Some(LinkType::ETHERNET),
        // No link header: PPP as the kernel shows it, raw IP, IPIP, IPv6 tunnels, SIT; and none at
        // all, as tun and WireGuard have.
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
