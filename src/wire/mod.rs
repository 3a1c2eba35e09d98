//! Stateless protocol parsers: a slice in, a typed view or a reason out.
//!
//! Owns: the meaning of bytes. In: slices. Out: views that borrow from them.
//! Never: state, allocation in a view, a clock, or indexing: bytes are read through [`Reader`].

pub mod app_signatures;
pub mod arp;
#[cfg(test)]
mod cost_tests;
pub mod der;
pub mod dhcp;
pub mod dhcp6;
pub mod dns;
pub mod dns_data;
pub mod dtls;
pub mod eap;
pub mod framed;
pub mod http;
pub mod icmp;
pub mod ike;
pub mod ip_fragment;
pub mod kerberos;
pub mod multiplexed;
pub mod nbns;
pub mod ntlm;
pub mod openvpn;
pub mod openvpn_scramble;
pub mod payload;
pub mod proxy_header;
pub mod quic;
pub mod quic_initial;
pub mod radius;
pub mod rdp;
pub mod reader;
pub mod rustdesk;
pub mod smb;
pub mod socks;
pub mod ssh;
pub mod stun;
pub mod tcp;
pub mod tls;
pub mod tls_record;
pub mod websocket;
pub mod wireguard;
pub mod x509;

pub use reader::{Fault, Reader, WireError};
