//! One interface, captured by ring or libpcap, across link and interface changes.
//!
//! Owns: the open capture of one interface, its counters. In: a name and options. Out: frames,
//! counts. Never: gives an interface up: one that went away is looked for again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::capture::FrameMeta;
use crate::capture::block::{Block, BlockPool};
use crate::capture::filter::{self, Instruction};
use crate::capture::interfaces::nic_drops;
use crate::capture::live_options::{Backend, LiveOptions};
use crate::capture::pcap_tap::PcapTap;
use crate::capture::ring::{Ring, sys};
use crate::model::{Counter, Counters, Error};

/// The open capture of an interface.
enum OpenCapture {
    Ring(Box<Ring>),
    Pcap(Box<PcapTap>),
    /// The interface is gone and is looked for.
    Gone,
}

/// One interface.
pub struct Tap {
    /// Its name.
    pub name: String,
    /// Frames captured.
    pub frames: u64,
    /// How often it went down or away.
    pub downs: u64,
    /// Frames dropped in its ring.
    pub ring_drops: u64,
    /// Frames dropped by its card.
    pub nic_drops: u64,
    file: u16,
    feed: OpenCapture,
    /// Known to be down or gone, and reported.
    down: bool,
    /// An error was seen since the last maintenance.
    troubled: bool,
    shut: bool,
    /// A socket for interface queries.
    control: OwnedFd,
    options: LiveOptions,
    filter: Option<Vec<Instruction>>,
    pool: Arc<BlockPool>,
    /// The interface index when the capture was opened.
    index: Option<u32>,
    /// The card's own counter at the last read.
    nic_seen: Option<u64>,
}

impl Tap {
    /// Opens the capture of interface `name`.
    pub(super) fn open(
        name: &str,
        file: u16,
        options: &LiveOptions,
        pool: &Arc<BlockPool>,
    ) -> Result<Tap, Error> {
        let filter = match (&options.filter, options.backend) {
            (Some(expression), Backend::Ring) => Some(compile(name, expression, options.snaplen)?),
            _ => None,
        };
        let mut tap = Tap {
            name: name.to_owned(),
            frames: 0,
            downs: 0,
            ring_drops: 0,
            nic_drops: 0,
            file,
            feed: OpenCapture::Gone,
            down: false,
            troubled: false,
            shut: false,
            control: sys::control_socket().map_err(|e| cannot_open(name, &e))?,
            options: options.clone(),
            filter,
            pool: Arc::clone(pool),
            index: None,
            nic_seen: None,
        };
        tap.reopen().map_err(|e| cannot_open(name, &e))?;
        tap.nic_seen = tap.index.and_then(|index| nic_drops(name, index));
        Ok(tap)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.index = sys::index_of(self.control.as_fd(), &self.name);
        if let (OpenCapture::Ring(ring), Some(index), None) =
            (&self.feed, self.index, self.options.fanout)
        {
            return ring.follow(index, &self.options);
        }
        self.feed = match self.options.backend {
            Backend::Ring => {
                let filter = self.filter.as_deref();
                let ring = Ring::open(&self.name, self.file, &self.options, filter)?;
                OpenCapture::Ring(Box::new(ring))
            }
            Backend::Pcap => {
                let tap = PcapTap::open(&self.name, self.file, &self.options, &self.pool)?;
                OpenCapture::Pcap(Box::new(tap))
            }
        };
        Ok(())
    }

    /// The next frame of the current block.
    #[inline]
    pub(super) fn step(&mut self) -> Option<FrameMeta> {
        let mut meta = match &mut self.feed {
            OpenCapture::Ring(ring) => ring.step(),
            OpenCapture::Pcap(tap) => tap.step(),
            OpenCapture::Gone => None,
        }?;
        self.frames += 1;
        // Numbering continues when an interface is reopened.
        meta.number = u32::try_from(self.frames).unwrap_or(u32::MAX);
        Some(meta)
    }

    /// Takes the next block, if available.
    pub(super) fn refill(&mut self) -> bool {
        match &mut self.feed {
            OpenCapture::Ring(ring) => ring.refill(),
            OpenCapture::Pcap(tap) => tap.refill(),
            OpenCapture::Gone => false,
        }
    }

    /// The current block.
    #[inline]
    pub(super) fn block(&self) -> Option<&Arc<Block>> {
        match &self.feed {
            OpenCapture::Ring(ring) => ring.block(),
            OpenCapture::Pcap(tap) => tap.block(),
            OpenCapture::Gone => None,
        }
    }

    /// Whether the card's clock timestamps the frames.
    pub fn stamps_in_hardware(&self) -> bool {
        self.options.hardware_stamps
    }

    /// Stops receiving.
    pub(super) fn shut(&mut self) {
        self.shut = true;
        if let OpenCapture::Ring(ring) = &self.feed {
            // If it fails, frames are read until the run's own limit ends it.
            let _ = ring.shut();
        }
    }

    /// Whether the next ring block is available.
    pub(super) fn has_block(&self) -> bool {
        matches!(&self.feed, OpenCapture::Ring(ring) if ring.has_block())
    }

    /// Waits at most `millis` until one of the taps has frames. `fds` is scratch space.
    pub(super) fn wait(taps: &mut [Tap], fds: &mut Vec<libc::pollfd>, millis: u32) {
        let mut millis = millis;
        fds.clear();
        for tap in taps.iter() {
            let (fd, events) = match &tap.feed {
                // "Readable" means nothing while a block is lent: check again shortly.
                OpenCapture::Ring(ring) if ring.has_lent_blocks() => {
                    millis = millis.min(1);
                    (ring.fd().as_raw_fd(), 0)
                }
                OpenCapture::Ring(ring) => (ring.fd().as_raw_fd(), libc::POLLIN),
                OpenCapture::Pcap(tap) => (tap.fd(), libc::POLLIN),
                OpenCapture::Gone => continue,
            };
            // A failed socket stays readable; maintenance looks after it once a second.
            if !tap.down && !tap.troubled {
                fds.push(libc::pollfd { fd, events, revents: 0 });
            }
        }
        // An interruption is as good as a packet: the caller checks everything again.
        let _ = sys::poll(fds, i32::try_from(millis).unwrap_or(i32::MAX));
        for fd in fds.iter().filter(|fd| fd.revents & (libc::POLLERR | libc::POLLHUP) != 0) {
            let theirs = |tap: &&mut Tap| tap.fd() == Some(fd.fd);
            taps.iter_mut().filter(theirs).for_each(Tap::clear_error);
        }
    }

    /// The sockets that are open for this interface.
    pub(super) fn sockets(&self) -> impl Iterator<Item = RawFd> {
        self.fd().into_iter().chain([self.control.as_raw_fd()])
    }

    fn fd(&self) -> Option<RawFd> {
        match &self.feed {
            OpenCapture::Ring(ring) => Some(ring.fd().as_raw_fd()),
            OpenCapture::Pcap(tap) => Some(tap.fd()),
            OpenCapture::Gone => None,
        }
    }

    /// The kernel reported a socket error. It is cleared, so that waiting works again.
    fn clear_error(&mut self) {
        if let OpenCapture::Ring(ring) = &self.feed {
            let _ = ring.take_error();
        }
        self.troubled = true;
    }

    /// Counts and recovers: see [`crate::capture::live::LiveSource::maintain`]. `drained` says
    /// that everything received was returned.
    pub(super) fn maintain(&mut self, drained: bool, counters: &mut Counters) -> Option<String> {
        self.count(counters);
        if self.shut {
            return None;
        }
        let index = sys::index_of(self.control.as_fd(), &self.name);
        let up = index.is_some() && sys::is_up(self.control.as_fd(), &self.name).unwrap_or(false);
        // Gone, or another interface of the same name: the open socket receives nothing more.
        let failed = matches!(&self.feed, OpenCapture::Pcap(tap) if tap.failed());
        let stale = index != self.index || failed;
        let well = up && (!stale || (drained && self.reopen().is_ok()));
        let went_down = (self.troubled || !well) && !self.down;
        let came_back = well && (self.troubled || self.down);
        self.troubled = false;
        self.down = !well;
        if went_down {
            self.downs += 1;
            counters.bump(Counter::InterfaceDowns);
        }
        let (name, state) = (&self.name, if index.is_none() { "gone" } else { "down" });
        match (came_back, went_down) {
            (true, true) => Some(format!("{name}: the interface went down and came back")),
            (true, false) => Some(format!("{name}: the interface is back")),
            (false, true) => Some(format!("{name}: the interface is {state}; waiting for it")),
            (false, false) => None,
        }
    }

    /// Reads the counters of the kernel and the card.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        let (drops, freezes) = match &mut self.feed {
            OpenCapture::Ring(ring) => {
                let stats = ring.stats();
                (stats.drops, stats.freezes)
            }
            OpenCapture::Pcap(tap) => (tap.drops(), 0),
            OpenCapture::Gone => (0, 0),
        };
        let seen = self.index.and_then(|index| nic_drops(&self.name, index));
        let nic = match (self.nic_seen, seen) {
            // A recreated interface counts from zero.
            (Some(before), Some(now)) => now.checked_sub(before).unwrap_or(now),
            _ => 0,
        };
        self.nic_seen = seen;
        self.ring_drops += drops;
        self.nic_drops += nic;
        counters.add(Counter::RingDrops, drops);
        counters.add(Counter::RingFreezes, freezes);
        counters.add(Counter::NicDrops, nic);
        if let OpenCapture::Ring(ring) = &mut self.feed {
            counters.add(Counter::OutgoingSkipped, std::mem::take(&mut ring.outgoing));
            counters.add(Counter::StampedInSoftware, std::mem::take(&mut ring.software_stamps));
            counters.add(Counter::TagsRestored, std::mem::take(&mut ring.tags));
        }
    }
}

/// Compiles a filter through libpcap on the interface itself: the program depends on the link type
/// and on where the kernel keeps VLAN tags.
fn compile(name: &str, expression: &str, snaplen: u32) -> Result<Vec<Instruction>, Error> {
    let opened = pcap::Capture::from_device(name).and_then(pcap::Capture::open);
    let capture = opened.map_err(|e| cannot_open(name, &io::Error::other(e.to_string())))?;
    filter::instructions(&capture, expression, snaplen)
}

fn cannot_open(name: &str, e: &io::Error) -> Error {
    let error = Error::new(format!("interface {name}"), e.to_string());
    match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error.help(
            "capturing needs the right CAP_NET_RAW: run as root, or give it to the program with \
             setcap cap_net_raw+ep",
        ),
        Some(libc::ENODEV) => error.help("longhaul live --list names the interfaces"),
        Some(libc::ENOMEM) => error.help("choose a smaller --ring"),
        _ => error,
    }
}
