//! A folder of small captures with tables of what they hold, both made here: what the folder of
//! shared captures is, for whoever has none.
//!
//! Owns: the conversations, and the tables in the columns of the shared ones. In: nothing. Out: a
//! folder. Never: asks longhaul what a value should be: each is computed from what was put in.

mod certificate;
mod protocols;
mod quic_initial;

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use md5::Digest;

use crate::common::Exception;
use crate::common::find;
use crate::craft;
use crate::craft::Capture;
use crate::craft::Connection;
use crate::craft::MS;
use crate::craft::START;

/// The folder that is made here, with no excuses; and the shared one, where it is, with its own.
pub fn folders(argued: &'static [Exception]) -> Vec<(PathBuf, &'static [Exception])> {
    let shared = find("pcaps").map(|folder| (folder, argued));
    std::iter::once((folder().to_owned(), &[][..])).chain(shared).collect()
}

/// The folder that is made here.
pub fn folder() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        write(root.path());
        root
    })
    .path()
}

/// Lines of the tables, and the files they speak of.
struct Tables<'r> {
    root: &'r Path,
    labels: Vec<String>,
    rtt: Vec<String>,
    values: Vec<String>,
}

/// What a file is called, its class, and the protocols that another dissector finds in it.
type Label = (&'static str, &'static str, &'static str);

impl Tables<'_> {
    fn add(&mut self, (file, class, protocols): Label, capture: &Capture) {
        let bytes = capture.pcap();
        let sha256 = sha2::Sha256::digest(&bytes);
        let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let (size, packets) = (bytes.len(), capture.frames.len());
        self.labels.push(format!("{file},{class},,{size},{sha256},{packets},{protocols},,"));
        std::fs::write(self.root.join(file), bytes).unwrap();
    }

    /// A field that a session of the file must have, with its value as JSON.
    fn value(&mut self, file: &str, field: &str, json: &str) {
        self.values.push(format!("{file},{field},\"{}\"", json.replace('"', "\"\"")));
    }

    /// The same of a connection, whose round trips are those that it was made with.
    fn add_tcp(&mut self, label: Label, connection: &mut Connection) {
        let (client, server) = (connection.client, connection.server);
        let (far, near) = (connection.far as f64 / 1e3, connection.near as f64 / 1e3);
        let at = connection.capture.frames[0].0;
        let at = format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000);
        self.rtt.push(format!(
            "{},0,{},{},{},{},{at},1,2,3,{far:.3},{near:.3},",
            label.0,
            client.ip(),
            client.port(),
            server.ip(),
            server.port()
        ));
        self.add(label, &connection.close());
    }
}

fn hash(text: &str) -> String {
    md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha(text: &str) -> String {
    let all = sha2::Sha256::digest(text);
    all.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn write(root: &Path) {
    let (labels, rtt, values) = (Vec::new(), Vec::new(), Vec::new());
    let mut tables = Tables { root, labels, rtt, values };
    let table = |name: &str, head: &str, lines: &[String]| {
        let text = std::iter::once(head).chain(lines.iter().map(String::as_str));
        std::fs::write(root.join(name), text.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    };
    let ends = "file,stream,frame,src,sport,dst,dport";
    table("ssh.csv", &format!("{ends},protocol,hassh,hassh_server"), &ssh(&mut tables));
    table("http.csv", &format!("{ends},method,host,user_agent"), &http(&mut tables));
    let columns = "transport,message,sni,alpn,ja3,ja4_computed,ja3s_or_note";
    let mut hellos = tls(&mut tables);
    hellos.extend(protocols::add(&mut tables));
    hellos.extend(certificate::add(&mut tables));
    table("tls.csv", &format!("{ends},{columns}"), &hellos);
    table("dns.csv", &format!("{ends},qname,is_response,a,aaaa"), &dns(&mut tables));
    others(&mut tables);
    let head = "file,class,expected_labels,bytes,sha256,packets,tshark_protocols,\
                ndpi_4_2_labels,sni";
    table("labels.csv", head, &tables.labels);
    table("values.csv", "file,field,value", &tables.values);
    let head = "file,stream,client,client_port,server,server_port,syn_ts,syn_frame,synack_frame,\
                ack_frame,synack_delta_us,ack_delta_us,ambiguous";
    table("rtt.csv", head, &tables.rtt);
}

/// A name list of SSH (RFC 4251 section 5).
fn list(names: &str) -> Vec<u8> {
    [&(names.len() as u32).to_be_bytes(), names.as_bytes()].concat()
}

/// A key exchange message (RFC 4253 section 7.1) in a packet without encryption.
fn kexinit(lists: [&str; 8]) -> Vec<u8> {
    let mut body = vec![20];
    body.extend([0x33; 16]);
    body.extend(lists.iter().flat_map(|names| list(names)));
    body.extend(list(""));
    body.extend(list(""));
    body.extend([0; 5]);
    let padding = 8 - (body.len() + 5) % 8 + 8;
    let mut out = (body.len() as u32 + padding as u32 + 1).to_be_bytes().to_vec();
    out.push(padding as u8);
    out.extend(body);
    out.resize(out.len() + padding, 0);
    out
}

fn ssh(tables: &mut Tables<'_>) -> Vec<String> {
    // Key exchange, host key, then cipher, MAC and compression of either direction.
    let client = ["curve25519-sha256,ext-info-c", "ssh-ed25519", "aes128-ctr,aes256-ctr"];
    let client = [&client[..], &["aes128-cbc", "hmac-sha2-256", "hmac-sha1", "none", "zlib"]];
    let server = ["ecdh-sha2-nistp256", "ssh-rsa", "aes256-ctr", "chacha20-poly1305@openssh.com"];
    let server = [&server[..], &["hmac-sha2-512", "umac-64@openssh.com", "none", "none"]];
    let lists =
        |halves: [&[&'static str]; 2]| -> [&'static str; 8] { halves.concat().try_into().unwrap() };
    let (client, server) = (lists(client), lists(server));
    let mut ssh = Connection::new("10.0.0.5:40001", "198.51.100.10:2222");
    ssh.open().answer(b"SSH-2.0-OpenSSH_9.6p1 made\r\n").ask(b"SSH-2.0-PuTTY_Release_0.80\r\n");
    ssh.ask(&kexinit(client)).answer(&kexinit(server));
    tables.add_tcp(("ssh.pcap", "ssh", "tcp ssh"), &mut ssh);
    // HASSH: key exchange; then what the speaker sends with, in its own direction.
    let [kex, _, cipher, _, mac, _, compression, _] = client;
    let hassh = hash(&[kex, cipher, mac, compression].join(";"));
    let [kex, _, _, cipher, _, mac, _, compression] = server;
    let hassh_server = hash(&[kex, cipher, mac, compression].join(";"));
    let (up, down) = ("10.0.0.5,40001,198.51.100.10,2222", "198.51.100.10,2222,10.0.0.5,40001");
    vec![
        format!("ssh.pcap,tcp:0,4,{down},SSH-2.0-OpenSSH_9.6p1 made,,"),
        format!("ssh.pcap,tcp:0,6,{up},SSH-2.0-PuTTY_Release_0.80,,"),
        format!("ssh.pcap,tcp:0,8,{up},,{hassh},"),
        format!("ssh.pcap,tcp:0,10,{down},,,{hassh_server}"),
    ]
}

fn http(tables: &mut Tables<'_>) -> Vec<String> {
    let mut http = Connection::new("10.0.0.6:40002", "198.51.100.11:8080");
    http.far = 17 * MS;
    http.open();
    http.ask(b"GET /a HTTP/1.1\r\nHost: one.example\r\nUser-Agent: made/1\r\n\r\n");
    http.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    http.ask(b"HEAD /b HTTP/1.1\r\nHost: two.example:8080\r\nUser-Agent: made/2 (x; y)\r\n\r\n");
    http.answer(b"HTTP/1.1 204 No Content\r\n\r\n");
    tables.add_tcp(("http.pcap", "http", "tcp http"), &mut http);
    let up = "10.0.0.6,40002,198.51.100.11,8080";
    vec![
        format!("http.pcap,tcp:0,4,{up},GET,one.example,made/1"),
        format!("http.pcap,tcp:0,8,{up},HEAD,two.example:8080,made/2 (x; y)"),
    ]
}

fn tls(tables: &mut Tables<'_>) -> Vec<String> {
    let mut tls = Connection::new("10.0.0.7:40003", "198.51.100.12:4433");
    (tls.near, tls.far) = (3 * MS + 250_000, 181 * MS);
    tls.open().ask(&craft::client_hello("shop.example")).answer(&craft::server_hello());
    tables.add_tcp(("tls.pcap", "tls", "tcp tls"), &mut tls);
    // Version 0x0303, cipher 0x1301, extensions 0 (server name) and 43 (versions: 1.3 alone).
    let ja3 = hash("771,4865,0-43,,");
    // The hash of extensions leaves the server name out.
    let ja4 = format!("t13d010200_{}_{}", sha("1301"), sha("002b"));
    let ja3s = hash("771,4865,43");
    let (up, down) = ("10.0.0.7,40003,198.51.100.12,4433", "198.51.100.12,4433,10.0.0.7,40003");
    vec![
        format!("tls.pcap,tcp:0,4,{up},tls,client_hello,shop.example,,{ja3},{ja4},"),
        format!("tls.pcap,tcp:0,6,{down},tls,server_hello,,,,,{ja3s}"),
    ]
}

fn dns(tables: &mut Tables<'_>) -> Vec<String> {
    let (host, server) = ("10.0.0.8:40004".parse().unwrap(), "10.0.0.53:53".parse().unwrap());
    let (mut capture, mut lines) = (Capture::default(), Vec::new());
    let asked = [
        ("one.example", vec!["192.0.2.1", "192.0.2.2"]),
        ("six.example", vec!["2001:db8::6"]),
        ("none.example", vec![]),
    ];
    for (n, (name, addresses)) in asked.iter().enumerate() {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let at = START + n as u64 * 50 * MS;
        let kind = if addresses.iter().any(IpAddr::is_ipv6) { 28 } else { 1 };
        let id = 7 + n as u16;
        capture.add(at, craft::udp(host, server, &craft::dns_query(id, name, kind)));
        let answer = craft::dns_answer(id, name, &addresses);
        capture.add(at + 20 * MS, craft::udp(server, host, &answer));
        let frame = 2 * n + 1;
        let text = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",");
        let (a, aaaa) = if kind == 1 { (text.as_str(), "") } else { ("", text.as_str()) };
        let up = "10.0.0.8,40004,10.0.0.53,53";
        let down = "10.0.0.53,53,10.0.0.8,40004";
        lines.push(format!("dns.pcap,udp:0,{frame},{up},{name},0,,"));
        let told = format!("{name},1,\"{a}\",\"{aaaa}\"");
        lines.push(format!("dns.pcap,udp:0,{},{down},{told}", frame + 1));
    }
    tables.add(("dns.pcap", "dns", "udp dns"), &capture);
    lines
}

fn others(tables: &mut Tables<'_>) {
    let mut socks = Connection::new("10.0.0.9:40005", "198.51.100.13:1080");
    socks.open().ask(&[5, 1, 0]).answer(&[5, 0]);
    socks.ask(&[5, 1, 0, 1, 192, 0, 2, 9, 0, 80]).answer(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    tables.add_tcp(("socks.pcap", "proxy-socks", "tcp socks"), &mut socks);

    let mut rfb = Connection::new("10.0.0.10:40006", "198.51.100.14:5900");
    rfb.far = MS / 2;
    rfb.open().answer(b"RFB 003.008\n").ask(b"RFB 003.008\n").answer(&[1, 2]);
    tables.add_tcp(("rfb.pcap", "vnc", "tcp vnc"), &mut rfb);

    let mut smtp = Connection::new("10.0.0.11:40007", "198.51.100.15:25");
    smtp.open().answer(b"220 mail.example ESMTP\r\n").ask(b"EHLO pc.example\r\n");
    smtp.answer(b"250-mail.example\r\n250 SIZE 1000\r\n");
    tables.add_tcp(("smtp.pcap", "mail", "tcp smtp"), &mut smtp);
}

/// Extensions of a ClientHello: server_name (RFC 6066 section 3) and supported_groups, x25519 alone.
fn hello_extensions(name: &str) -> Vec<u8> {
    let length = name.len() as u16;
    let mut out = vec![0, 0];
    out.extend((length + 5).to_be_bytes());
    out.extend((length + 3).to_be_bytes());
    out.push(0);
    out.extend(length.to_be_bytes());
    out.extend(name.as_bytes());
    out.extend([0, 10, 0, 4, 0, 2, 0, 29]);
    out
}
