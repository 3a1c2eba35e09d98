//! A bounded single-producer, single-consumer queue that needs no system call while both sides are
//! busy and no CPU while one waits.
//!
//! Owns: a lock-free ring (crossbeam's `ArrayQueue`) and the parking of both threads. In: items.
//! Out: items, in order.
//! Never: grows, drops an item, or spins for long: on a machine with few cores a spinning thread
//! takes the core that the other one needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam::queue::ArrayQueue;
use crossbeam::sync::{Parker, Unparker};
use crossbeam::utils::CachePadded;

#[derive(Debug)]
struct Shared<T> {
    ring: ArrayQueue<T>,
    /// Queued items at which the receiver is woken.
    wake_at: usize,
    sender_sleeps: CachePadded<AtomicBool>,
    receiver_sleeps: CachePadded<AtomicBool>,
    closed: AtomicBool,
}

/// The sending end, for one thread.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    parker: Parker,
    peer: Unparker,
}

/// The receiving end, for one thread.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    parker: Parker,
    peer: Unparker,
}

/// A queue of at most `cap` items. The receiver is woken when `wake_at` items are queued, when the
/// sender nudges it, or when the sender is dropped. Waking a thread costs as much as queueing
/// several thousand packets, so both sides sleep until there is enough to do; the sender sleeps
/// until half the queue is free.
pub fn bounded<T>(cap: usize, wake_at: usize) -> (Sender<T>, Receiver<T>) {
    let cap = cap.max(1);
    let shared = Arc::new(Shared {
        ring: ArrayQueue::new(cap),
        wake_at: wake_at.clamp(1, cap),
        sender_sleeps: CachePadded::new(AtomicBool::new(false)),
        receiver_sleeps: CachePadded::new(AtomicBool::new(false)),
        closed: AtomicBool::new(false),
    });
    let (mine, theirs) = (Parker::new(), Parker::new());
    let (my_unparker, their_unparker) = (mine.unparker().clone(), theirs.unparker().clone());
    let sender = Sender { shared: Arc::clone(&shared), parker: mine, peer: their_unparker };
    let receiver = Receiver { shared, parker: theirs, peer: my_unparker };
    (sender, receiver)
}

/// Wakes the other side if its flag says that it sleeps. The fence orders the ring operation before
/// the load of the flag. The sleeper stores the flag, fences, and checks the ring once more before
/// it sleeps.
fn wake(flag: &AtomicBool, peer: &Unparker) {
    fence(Ordering::SeqCst);
    if flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::Relaxed) {
        peer.unpark();
    }
}

impl<T> Sender<T> {
    /// Sends an item, waiting while the queue is full. `Err` returns the item: the receiver is
    /// gone.
    pub fn send(&self, item: T) -> Result<(), T> {
        let mut item = item;
        loop {
            if self.shared.closed.load(Ordering::Acquire) {
                return Err(item);
            }
            match self.try_send(item) {
                Ok(()) => return Ok(()),
                Err(back) => item = back,
            }
            self.nudge();
            self.shared.sender_sleeps.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.shared.ring.is_full() && !self.shared.closed.load(Ordering::Acquire) {
                self.parker.park();
            }
        }
    }

    /// Sends an item if there is room; else returns it.
    pub fn try_send(&self, item: T) -> Result<(), T> {
        self.shared.ring.push(item)?;
        if self.shared.ring.len() >= self.shared.wake_at {
            wake(&self.shared.receiver_sleeps, &self.peer);
        }
        Ok(())
    }

    /// Items that are queued.
    pub fn queued(&self) -> usize {
        self.shared.ring.len()
    }

    /// Waits until the receiver has taken every item. `false`: it is gone, and has not.
    pub fn wait_until_taken(&self) -> bool {
        while !self.shared.ring.is_empty() {
            if self.shared.closed.load(Ordering::Acquire) {
                return false;
            }
            self.nudge();
            self.shared.sender_sleeps.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            // The receiver wakes a sleeping sender with each item below half of the queue.
            if !self.shared.ring.is_empty() && !self.shared.closed.load(Ordering::Acquire) {
                self.parker.park();
            }
        }
        true
    }

    /// Wakes the receiver if it sleeps: no item may come for a while.
    pub fn nudge(&self) {
        wake(&self.shared.receiver_sleeps, &self.peer);
    }
}

impl<T> Receiver<T> {
    /// Receives an item, waiting while the queue is empty. `None`: the sender is gone and the queue
    /// is empty.
    pub fn recv(&self) -> Option<T> {
        loop {
            if let Some(item) = self.try_recv() {
                return Some(item);
            }
            if self.shared.closed.load(Ordering::Acquire) {
                return self.try_recv();
            }
            self.shared.receiver_sleeps.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.shared.ring.is_empty() && !self.shared.closed.load(Ordering::Acquire) {
                self.parker.park();
            }
        }
    }

    /// Receives an item if there is one.
    pub fn try_recv(&self) -> Option<T> {
        let item = self.shared.ring.pop()?;
        if self.shared.ring.len() <= self.shared.ring.capacity() / 2 {
            wake(&self.shared.sender_sleeps, &self.peer);
        }
        Some(item)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.peer.unpark();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.peer.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_arrives_once_and_in_order() {
        for cap in [1, 3, 64] {
            let (sender, receiver) = bounded(cap, cap / 2);
            let thread =
                std::thread::spawn(move || (0..20_000u32).try_for_each(|n| sender.send(n)));
            let got: Vec<u32> = std::iter::from_fn(|| receiver.recv()).collect();
            assert_eq!(thread.join().unwrap(), Ok(()));
            assert!(got.iter().copied().eq(0..20_000));
        }
    }

    #[test]
    fn a_sender_can_wait_until_everything_is_taken() {
        for cap in [1, 3, 64] {
            let (sender, receiver) = bounded(cap, cap / 2);
            let thread = std::thread::spawn(move || {
                for n in 0..5_000u32 {
                    sender.send(n).unwrap();
                    assert!(n % 7 != 0 || sender.wait_until_taken());
                }
            });
            assert!(std::iter::from_fn(|| receiver.recv()).eq(0..5_000));
            thread.join().unwrap();
        }
        let (sender, receiver) = bounded(2, 1);
        sender.send(1).unwrap();
        drop(receiver);
        assert!(!sender.wait_until_taken(), "nobody takes it");
    }

    #[test]
    fn a_sender_whose_receiver_is_gone_gets_its_item_back() {
        let (sender, receiver) = bounded(1, 1);
        sender.send(1).unwrap();
        let waiting = std::thread::spawn(move || sender.send(2));
        drop(receiver);
        assert_eq!(waiting.join().unwrap(), Err(2));
    }
}
