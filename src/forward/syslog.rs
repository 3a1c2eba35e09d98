//! Syslog over UDP (RFC 5426), TCP (RFC 6587, octet counting) and TLS (RFC 5425).
//!
//! Owns: the connection. In: messages. Out: how many arrived, as far as that can be known: syslog
//! has no acknowledgement. Over TCP a message counts as arrived when the connection has held for
//! [`HELD`] after it; when it breaks, what is younger is sent again. At the end we close our side,
//! and the server, once it has read all, closes its own. Over UDP whatever was sent counts.
//! Never: two messages in one datagram, or a connection whose certificate does not fit.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::forward::rfc5424::Header;
use crate::forward::tls::Tls;
use crate::forward::{Failure, Message, Refused, Target};
use crate::model::Error;
use crate::model::sink::{TlsFiles, Transport};

/// How long a connection has to hold after a message.
const HELD: Duration = Duration::from_secs(2);

/// How long connecting and writing may take.
const CONNECT: Duration = Duration::from_secs(5);
const WRITE: Duration = Duration::from_secs(10);

/// How long the server may take to read the rest at the end.
const CLOSE: Duration = Duration::from_secs(5);

/// A reader that has nothing to say is asked for this long.
const ASK: Duration = Duration::from_millis(1);

/// The largest datagram over IPv4 (RFC 5426 section 3.2).
const DATAGRAM_MAX: usize = 65_507;

/// A syslog server.
pub(super) struct SyslogTarget {
    transport: Transport,
    host: String,
    port: u16,
    header: Header,
    tls: Option<Arc<ClientConfig>>,
    stream: Option<Stream>,
    sent: u64,
    held: u64,
    /// Messages sent by then.
    young: VecDeque<(Duration, u64)>,
}

enum Stream {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl SyslogTarget {
    pub(super) fn new(
        transport: Transport,
        (host, port): (&str, u16),
        header: Header,
        files: &TlsFiles,
    ) -> Result<SyslogTarget, Error> {
        let tls = match transport {
            Transport::Tls => Some(Tls::read(files)?.client()?),
            Transport::Udp | Transport::Tcp => None,
        };
        let (host, young) = (host.to_owned(), VecDeque::new());
        Ok(SyslogTarget {
            transport,
            host,
            port,
            header,
            tls,
            stream: None,
            sent: 0,
            held: 0,
            young,
        })
    }

    fn fail(&mut self, cause: &io::Error) -> Failure {
        (self.stream, self.sent, self.held) = (None, 0, 0);
        self.young.clear();
        Failure::new(format!("{}:{}: {cause}", self.host, self.port))
    }

    fn connect(&self) -> io::Result<Stream> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?.peekable();
        if addresses.peek().is_none() {
            return Err(io::Error::new(ErrorKind::NotFound, "the name has no address"));
        }
        let mut last = None;
        for address in addresses {
            let connected = match self.transport {
                Transport::Udp => {
                    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                    UdpSocket::bind(any).and_then(|socket| {
                        socket.connect(address)?;
                        Ok(Stream::Udp(socket))
                    })
                }
                Transport::Tcp | Transport::Tls => TcpStream::connect_timeout(&address, CONNECT)
                    .and_then(|stream| self.begin(stream)),
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(cause) => last = Some(cause),
            }
        }
        Err(last.unwrap_or_else(|| ErrorKind::NotConnected.into()))
    }

    /// Makes a connection ready; for TLS, with the whole handshake.
    fn begin(&self, stream: TcpStream) -> io::Result<Stream> {
        stream.set_write_timeout(Some(WRITE))?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Stream::Tcp(stream)) };
        stream.set_read_timeout(Some(CONNECT))?;
        let wrong = |cause: String| io::Error::new(ErrorKind::InvalidInput, cause);
        let name = ServerName::try_from(self.host.clone()).map_err(|e| wrong(e.to_string()))?;
        let connection = ClientConnection::new(Arc::clone(config), name);
        let connection = connection.map_err(|e| wrong(e.to_string()))?;
        let mut tls = StreamOwned::new(connection, stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(Stream::Tls(Box::new(tls)))
    }

    fn stream(&mut self) -> io::Result<&mut Stream> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        Ok(self.stream.insert(stream))
    }

    fn write(&mut self, messages: &[Message<'_>]) -> io::Result<Vec<Refused>> {
        let header = self.header.clone();
        let mut frames = Vec::new();
        let mut refused = Vec::new();
        let stream = self.stream()?;
        let mut one = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            one.clear();
            header.put(message, &mut one);
            match stream {
                Stream::Udp(_) if one.len() > DATAGRAM_MAX => {
                    refused.push(Refused { index, cause: "longer than a datagram".to_owned() });
                }
                Stream::Udp(socket) => drop(socket.send(&one)?),
                Stream::Tcp(_) | Stream::Tls(_) => {
                    frames.extend_from_slice(format!("{} ", one.len()).as_bytes());
                    frames.extend_from_slice(&one);
                }
            }
        }
        match stream {
            Stream::Udp(_) => {}
            Stream::Tcp(stream) => stream.write_all(&frames)?,
            Stream::Tls(stream) => stream.write_all(&frames).and_then(|()| stream.flush())?,
        }
        Ok(refused)
    }
}

impl Stream {
    /// Whether the other side holds the connection. A server says nothing, but it may close it.
    fn holds(&mut self) -> io::Result<()> {
        let mut byte = [0; 64];
        let said = match self {
            Stream::Udp(_) => return Ok(()),
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(ASK))?;
                stream.read(&mut byte)
            }
            Stream::Tls(stream) => {
                stream.sock.set_read_timeout(Some(ASK))?;
                stream.read(&mut byte)
            }
        };
        match said {
            Ok(0) => Err(io::Error::new(ErrorKind::ConnectionReset, "the server has closed it")),
            Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(())
            }
            Err(cause) if cause.kind() == ErrorKind::Interrupted => Ok(()),
            said => said.map(drop),
        }
    }

    /// Closes our side, and waits until the server has closed its own.
    fn close(&mut self) -> io::Result<()> {
        let mut byte = [0; 64];
        match self {
            Stream::Udp(_) => Ok(()),
            Stream::Tcp(stream) => {
                stream.shutdown(Shutdown::Write)?;
                stream.set_read_timeout(Some(CLOSE))?;
                while stream.read(&mut byte)? > 0 {}
                Ok(())
            }
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Write)?;
                stream.sock.set_read_timeout(Some(CLOSE))?;
                loop {
                    match stream.read(&mut byte) {
                        Ok(0) => return Ok(()),
                        // Many servers close without saying so (RFC 8446 section 6.1).
                        Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                        Err(cause) => return Err(cause),
                        Ok(_) => {}
                    }
                }
            }
        }
    }
}

impl Target for SyslogTarget {
    fn check(&mut self) -> Result<String, Failure> {
        let held = self.stream().and_then(Stream::holds);
        held.map_err(|cause| self.fail(&cause))?;
        let (host, port) = (&self.host, self.port);
        Ok(match self.transport {
            Transport::Udp => format!("sends to {host}:{port} by UDP: nothing says if it arrives"),
            Transport::Tcp => format!("connected to {host}:{port}"),
            Transport::Tls => format!("connected to {host}:{port}, its certificate fits"),
        })
    }

    fn send(&mut self, messages: &[Message<'_>], now: Duration) -> Result<Vec<Refused>, Failure> {
        let refused = self.write(messages).map_err(|cause| self.fail(&cause))?;
        self.sent += messages.len() as u64;
        self.young.push_back((now, self.sent));
        Ok(refused)
    }

    fn confirmed(&mut self, now: Duration) -> Result<u64, Failure> {
        let wait = if self.transport == Transport::Udp { Duration::ZERO } else { HELD };
        let Some((oldest, _)) = self.young.front() else { return Ok(self.held) };
        if now.saturating_sub(*oldest) < wait {
            return Ok(self.held);
        }
        let holds = self.stream.as_mut().map_or(Ok(()), Stream::holds);
        holds.map_err(|cause| self.fail(&cause))?;
        while let Some((_, sent)) =
            self.young.pop_front_if(|(at, _)| now.saturating_sub(*at) >= wait)
        {
            self.held = sent;
        }
        Ok(self.held)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        stream.close().map_err(|cause| self.fail(&cause))?;
        self.held = self.sent;
        self.young.clear();
        Ok(())
    }
}
