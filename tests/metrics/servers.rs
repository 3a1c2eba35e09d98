//! Servers of metrics, as they are installed: what they read from a sensor, what they conclude.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::net::{Net, Sensor, wait_for};
use crate::{address, answer, demo, scratch};

/// Where they listen: the network is the test's own.
const PROMETHEUS: &str = "127.0.0.1:9090";
const ALERTMANAGER: &str = "127.0.0.1:9093";
const VICTORIA: &str = "127.0.0.1:8428";

/// A program that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts a server and waits until it listens; `None`, and a word, where it is not installed.
fn start(program: &str, at: &str, args: &[&str]) -> Option<Running> {
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(process) = command.spawn() else {
        println!("skipped: {program} is not installed: deploy/install-deps.sh --receivers");
        return None;
    };
    let running = Running(process);
    wait_for(program, || std::net::TcpStream::connect(at).is_ok());
    Some(running)
}

/// The answer to a request; null where it is none.
fn ask(at: &str, path: &str) -> Value {
    // Of this version of HTTP, so that the answer is in one piece.
    let text = answer(at, format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_default()
}

/// The first value of a query (the API of Prometheus, which others have, too).
fn query(at: &str, what: &str) -> Option<f64> {
    let answer = ask(at, &format!("/api/v1/query?query={what}"));
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

/// The configuration of a server that reads the page of a sensor each second.
fn scraping(dir: &Path, sensor: &Sensor) -> String {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/longhaul.rules.yml");
    let (rules, at) = (rules.display(), address(sensor));
    let text = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: [ \"{rules}\" ]\n\
         alerting: {{ alertmanagers: [ {{ static_configs: [ {{ targets: [ \"{ALERTMANAGER}\" ] }} ] }} ] }}\n\
         scrape_configs: [ {{ job_name: longhaul, static_configs: [ {{ targets: [ \"{at}\" ] }} ] }} ]\n"
    );
    let path = dir.join("prometheus.yml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn prometheus_reads_a_sensor_and_an_alert_reaches_alertmanager() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let sensor = Sensor::start(&["a0", "--out", &out, "--metrics", "0"]);
    fs::write(
        at("alertmanager.yml"),
        "route: { receiver: nobody }\nreceivers: [ { name: nobody } ]\n",
    )
    .unwrap();
    let alertmanager = [
        format!("--config.file={}", at("alertmanager.yml")),
        format!("--storage.path={}", at("alertmanager")),
        format!("--web.listen-address={ALERTMANAGER}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let args = alertmanager.each_ref().map(String::as_str);
    let Some(_manager) = start("prometheus-alertmanager", ALERTMANAGER, &args) else { return };
    let prometheus = [
        format!("--config.file={}", scraping(dir.path(), &sensor)),
        format!("--storage.tsdb.path={}", at("prometheus")),
        format!("--web.listen-address={PROMETHEUS}"),
    ];
    let args = prometheus.each_ref().map(String::as_str);
    let Some(_prometheus) = start("prometheus", PROMETHEUS, &args) else { return };
    let sent = demo();
    net.send("b0", &sent);
    wait_for("all frames in Prometheus", || {
        query(PROMETHEUS, "longhaul_capture_frames_total") == Some(sent.len() as f64)
    });
    assert_eq!(query(PROMETHEUS, "up"), Some(1.0));
    assert_eq!(query(PROMETHEUS, "longhaul_ready"), Some(1.0));
    // Every rule can be evaluated over what a sensor shows, and none fires unasked.
    let rules = || ask(PROMETHEUS, "/api/v1/rules")["data"]["groups"][0]["rules"].clone();
    let evaluated = |rule: &Value| rule["health"] == "ok";
    wait_for("evaluated rules", || rules().as_array().is_some_and(|all| all.iter().all(evaluated)));
    let (rules, text) = (rules(), include_str!("../../deploy/prometheus/longhaul.rules.yml"));
    let all = rules.as_array().unwrap();
    assert_eq!(all.len(), text.matches("- alert: ").count());
    let fires = |rule: &&Value| rule["state"] == "firing";
    assert_eq!(all.iter().find(fires), None);
    net.link(&["set", "a0", "down"]);
    let seen = || ask(ALERTMANAGER, "/api/v2/alerts");
    wait_for("an alert", || seen().as_array().is_some_and(|all| !all.is_empty()));
    let alerts = seen();
    let [alert] = &alerts.as_array().unwrap()[..] else { panic!("{alerts}") };
    assert_eq!(alert["labels"]["alertname"], "LonghaulInterfaceDown");
    assert_eq!(alert["labels"]["severity"], "warning");
    let summary = alert["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("127.0.0.1:") && summary.ends_with("a0 was down"), "{summary}");
    assert_eq!(sensor.end().0, Some(0));
}

#[test]
fn victoria_metrics_reads_a_sensor() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out, "--metrics", "0"]);
    let config = dir.path().join("victoria.yml");
    let at = address(&sensor);
    fs::write(
        &config,
        format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs: [ {{ job_name: longhaul, static_configs: [ {{ targets: [ \"{at}\" ] }} ] }} ]\n"
        ),
    )
    .unwrap();
    let args = [
        format!("-promscrape.config={}", config.display()),
        format!("-storageDataPath={}", dir.path().join("victoria").display()),
        format!("-httpListenAddr={VICTORIA}"),
        "-search.latencyOffset=0s".to_owned(),
    ];
    let args = args.each_ref().map(String::as_str);
    let Some(_victoria) = start("victoria-metrics", VICTORIA, &args) else { return };
    let sent = demo();
    net.send("b0", &sent);
    wait_for("all frames in VictoriaMetrics", || {
        query(VICTORIA, "longhaul_capture_frames_total") == Some(sent.len() as f64)
    });
    let quantile = "histogram_quantile(0.5,longhaul_stage_seconds_bucket{stage=%22read%22})";
    assert!(query(VICTORIA, quantile).is_some_and(|seconds| seconds > 0.0));
    assert_eq!(sensor.end().0, Some(0));
}
