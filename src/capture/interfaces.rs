//! The interfaces of this machine: what there is, and what their cards have dropped.
//!
//! Owns: nothing. In: the system's own lists. Out: names, states, counts.
//! Never: changes an interface.

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

/// Frames that the card or its driver dropped since it came up, by the kernel's count (`rx_dropped`
/// and `rx_missed_errors` together, and `rx_fifo_errors`), out of /proc/net/dev, which unlike
/// /sys always shows the network namespace of this process.
pub fn nic_drops(name: &str) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").ok()?;
    drops_in(&table, name)
}

fn drops_in(table: &str, name: &str) -> Option<u64> {
    let of_name = |line: &str| {
        let (found, numbers) = line.split_once(':')?;
        (found.trim() == name).then(|| numbers.to_owned())
    };
    let numbers = table.lines().find_map(of_name)?;
    // bytes packets errs drop fifo frame compressed multicast, then what was sent.
    let mut columns = numbers.split_whitespace().skip(3).map(str::parse::<u64>);
    let (drop, fifo) = (columns.next()?.ok()?, columns.next()?.ok()?);
    Some(drop.saturating_add(fifo))
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
    fn drops_are_found_by_name() {
        let table =
            "Inter-|   Receive\n face |bytes\n  eth0: 10 2 0 7 1 0 0 0 0 0\neth01: 1 1 1 1\n";
        assert_eq!(drops_in(table, "eth0"), Some(8));
        assert_eq!(drops_in(table, "eth01"), None, "a line that ends early");
        assert_eq!(drops_in(table, "eth2"), None);
    }
}
