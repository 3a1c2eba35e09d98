use std::fs;

use super::*;
use crate::enrich::list_file;

fn feed(text: &str) -> (Form, Feed) {
    read(Path::new("feed"), text.as_bytes(), None).unwrap()
}

/// `kind key tag` of each entry.
fn entries(text: &str) -> Vec<String> {
    let line = |one: &Indicator| {
        let tag = one.tag.as_deref().unwrap_or("-");
        format!("{} {} {tag}", one.kind, one.key)
    };
    feed(text).1.indicators.iter().map(line).collect()
}

fn errors(text: &str, form: Form) -> Vec<(u32, String)> {
    let all = read(Path::new("feed"), text.as_bytes(), Some(form)).unwrap_err();
    assert!(all.iter().all(|error| error.help.is_some()));
    let line = |error: &Error| error.place.as_ref().map_or(0, |(_, line)| *line);
    all.iter().map(|error| (line(error), error.cause.clone())).collect()
}

#[test]
fn lines_hold_addresses_ranges_names_and_numbers() {
    let text = "# X4BNet\n192.0.2.0/24\n2001:db8::/32 # note\n198.51.100.7\nAS64500\n; old\n\
                Example.COM.\n*.example.net\n.example.org\n0.0.0.0 ads.example\n\
                10.0.0.5-10.0.0.8\n";
    assert_eq!(feed(text).0, Form::Lines);
    assert_eq!(
        entries(text),
        [
            "prefix 192.0.2.0/24 -",
            "prefix 2001:db8::/32 -",
            "prefix 198.51.100.7 -",
            "asn AS64500 -",
            "name example.com -",
            "name *.example.net -",
            "name *.example.org -",
            "name ads.example -",
            "prefix 10.0.0.5/32 -",
            "prefix 10.0.0.6/31 -",
            "prefix 10.0.0.8/32 -",
        ]
    );
}

#[test]
fn what_no_list_can_say_is_left_out_and_nonsense_is_refused() {
    let (_, feed) = feed("192.0.2.1\n192.0.2.1:80\nhttps://example.com/a\nrelay*.example.com\n");
    let left: Vec<(&str, u64)> = feed.left_out.iter().map(|(why, (n, _))| (*why, *n)).collect();
    assert_eq!(
        left,
        [
            ("addresses of pages", 1),
            ("addresses with a port", 1),
            ("names with a wildcard inside", 1)
        ]
    );
    let bad = errors("192.0.2.1\nnonsense\n10.0.0.300\na b c\n", Form::Lines);
    assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(errors("", Form::Lines)[0].1.contains("no entries"));
    let bytes = read(Path::new("feed"), b"\xff\xfe\x00", None).unwrap_err();
    assert!(bytes[0].cause.contains("UTF-8"));
}

#[test]
fn columns_are_found_by_their_heading() {
    assert_eq!(
        entries("tool,category,kind,indicator,ports\nAny Desk,RMM,domain,anydesk.com,\n"),
        ["name anydesk.com rmm:any-desk"]
    );
    assert_eq!(entries("URI,RMM_Tool\nserver.x.com,x1\n"), ["name server.x.com rmm:x1"]);
    assert_eq!(entries("provider,ip_or_cidr\nairvpn,192.0.2.1\n"), ["prefix 192.0.2.1 airvpn"]);
    assert_eq!(
        entries("asn,entity\n64500,\"A, Inc.\"\n64501,B\n"),
        ["asn AS64500 a-inc", "asn AS64501 b"]
    );
    assert_eq!(
        entries("start,end,provider\n192.0.2.0,192.0.2.255,Cloud\n"),
        ["prefix 192.0.2.0/24 cloud"]
    );
    assert!(errors("a,b\n1,2\n", Form::Csv)[0].1.contains("no column is known"));
    assert_eq!(errors("ip,tag\n192.0.2.1,x\n192.0.2.2\n", Form::Csv)[0].0, 3);
}

#[test]
fn reputations_and_data_sets_of_suricata() {
    let text = "192.0.2.1,5,100\n198.51.100.0/24,7,3\n";
    assert_eq!(feed(text).0, Form::Iprep);
    assert_eq!(entries(text), ["prefix 192.0.2.1 iprep:5", "prefix 198.51.100.0/24 iprep:7"]);
    assert_eq!(errors("192.0.2.1,5,100\n192.0.2.1,99,1\n", Form::Iprep)[0].0, 2);
    // printf example.com | base64
    let text = "ZXhhbXBsZS5jb20=\nYS5leGFtcGxl,12\n";
    assert_eq!(feed(text).0, Form::Dataset);
    assert_eq!(entries(text), ["name example.com -", "name a.example -"]);
    assert_eq!(errors("ZXhhbXBsZS5jb20=\n!!\n", Form::Dataset)[0].0, 2);
}

#[test]
fn base64_is_read_by_the_vectors_of_its_specification() {
    // RFC 4648 section 10.
    for (coded, want) in [("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
        assert_eq!(text::from_base64(coded).as_deref(), Some(want));
    }
    for bad in ["", "Zg", "Zg=", "====", "Z===", "Zm9v!mFy"] {
        assert_eq!(text::from_base64(bad), None, "{bad}");
    }
}

#[test]
fn files_of_zeek() {
    let text = "#fields\tindicator\tindicator_type\tmeta.source\n192.0.2.1\tIntel::ADDR\tMy Feed\n\
                example.com\tIntel::DOMAIN\t-\nx.com/a\tIntel::URL\t-\nab12\tIntel::FILE_HASH\t-\n";
    assert_eq!(feed(text).0, Form::Zeek);
    assert_eq!(entries(text), ["prefix 192.0.2.1 zeek:my-feed", "name example.com -"]);
    assert_eq!(feed(text).1.left_out.len(), 2);
    assert_eq!(errors("#fields\tindicator\n", Form::Zeek)[0].0, 1);
    let short = "#fields\tindicator\tindicator_type\n192.0.2.1\tIntel::ADDR\nx\n";
    assert_eq!(errors(short, Form::Zeek)[0].0, 3);
    assert_eq!(errors("192.0.2.1\tIntel::ADDR\n", Form::Zeek)[0].0, 1);
}

#[test]
fn tools_of_lolrmm() {
    let text = r#"[{"Name":"Any Desk","Category":"RMM","LastModified":"2/3/2026","Artifacts":
        {"Network":[{"Domains":["anydesk.com","relay*.x.com","https://a.com/b"],"Ports":[7070]}]}},
        {"Name":"None","Artifacts":{"Network":null}}]"#;
    let (form, all) = feed(text);
    assert_eq!((form, all.date.as_deref()), (Form::Lolrmm, Some("2026-02-03")));
    assert_eq!(entries(text), ["name anydesk.com rmm:any-desk"]);
    assert_eq!(all.left_out.len(), 3);
}

#[test]
fn bundles_of_stix() {
    let text = r#"{"type":"bundle","objects":[
        {"type":"indicator","pattern_type":"stix","modified":"2026-11-20T10:00:00Z",
         "pattern":"[ipv4-addr:value = '192.0.2.1' OR domain-name:value = 'a.example']"},
        {"type":"indicator","pattern":"[ipv4-addr:value ISSUBSET '198.51.100.0/24']"},
        {"type":"indicator","pattern":"[ipv4-addr:value = '192.0.2.9']","revoked":true},
        {"type":"indicator","pattern":"[file:hashes.MD5 = 'ab']"},
        {"type":"indicator",
         "pattern":"[ipv4-addr:value = '192.0.2.8' AND domain-name:value = 'b.c']"},
        {"type":"indicator","pattern_type":"sigma","pattern":"[ipv4-addr:value = '192.0.2.7']"},
        {"type":"domain-name","value":"c.example"},{"type":"autonomous-system","number":64500},
        {"type":"url","value":"http://d.example/x"},{"type":"malware","name":"m"}]}"#;
    let (form, all) = feed(text);
    assert_eq!((form, all.date.as_deref()), (Form::Stix, Some("2026-11-20")));
    assert_eq!(
        entries(text),
        [
            "prefix 192.0.2.1 -",
            "name a.example -",
            "prefix 198.51.100.0/24 -",
            "name c.example -",
            "asn AS64500 -"
        ]
    );
    assert_eq!(all.left_out.values().map(|(n, _)| n).sum::<u64>(), 5);
    let damaged = "{\"type\":\"bundle\",\n\"objects\":[\n{,]}";
    assert_eq!(errors(damaged, Form::Stix)[0].0, 3);
}

#[test]
fn events_of_misp() {
    let text = r#"{"response":[{"Event":{"date":"2026-11-19","Attribute":[
        {"type":"ip-dst","value":"192.0.2.1","to_ids":true},
        {"type":"domain|ip","value":"a.example|192.0.2.2"},
        {"type":"ip-dst|port","value":"192.0.2.3|80"},
        {"type":"hostname","value":"b.example","to_ids":false},
        {"type":"domain","value":"c.example","deleted":true},
        {"type":"md5","value":"ab"}],
        "Object":[{"Attribute":[{"type":"AS","value":"64500"}]}]}}]}"#;
    assert_eq!(feed(text).0, Form::Misp);
    assert_eq!(
        entries(text),
        ["prefix 192.0.2.1 -", "name a.example -", "prefix 192.0.2.2 -", "asn AS64500 -"]
    );
    assert_eq!(feed(text).1.left_out.len(), 4);
}

#[test]
fn addresses_of_spur() {
    let text = "{\"ip\":\"192.0.2.1\",\"tunnels\":[{\"operator\":\"NORD_VPN\",\"type\":\"VPN\"}],\
                \"client\":{\"proxies\":[\"LUMINATI_PROXY\"]}}\n\
                {\"ip\":\"192.0.2.2\",\"infrastructure\":\"DATACENTER\"}\n\
                {\"ip\":\"192.0.2.3\",\"infrastructure\":\"MOBILE\"}\n";
    assert_eq!(feed(text).0, Form::Spur);
    assert_eq!(
        entries(text),
        [
            "prefix 192.0.2.1 proxy:luminati-proxy",
            "prefix 192.0.2.1 vpn:nord-vpn",
            "prefix 192.0.2.2 hosting"
        ]
    );
    assert_eq!(errors("{\"ip\":\"192.0.2.1\"}\n{\"ip\":", Form::Spur)[0].0, 2);
}

#[test]
fn ranges_are_covered_by_as_few_prefixes_as_hold_nothing_else() {
    let range = |a: &str, b: &str| classify::range(a.parse().unwrap(), b.parse().unwrap());
    assert_eq!(range("0.0.0.0", "255.255.255.255").unwrap(), ["0.0.0.0/0"]);
    assert_eq!(range("10.0.0.1", "10.0.0.2").unwrap(), ["10.0.0.1/32", "10.0.0.2/32"]);
    assert_eq!(range("10.0.0.2", "10.0.0.1"), None);
    assert_eq!(range("255.255.255.255", "255.255.255.255").unwrap(), ["255.255.255.255/32"]);
}

fn about() -> About {
    About {
        name: "mine".into(),
        source: "https://example.com/\n# tag: evil".into(),
        licence: "MIT".into(),
        date: Some("2026-11-20".into()),
        tag: None,
        weight: Some(0.5),
        half_life_days: Some(30.0),
    }
}

#[test]
fn a_feed_is_stored_as_lists_and_a_bad_one_leaves_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let (_, first) = feed("tool,indicator\nx,a.example\ny,192.0.2.0/24\n");
    let stored = store(&first, &about(), dir.path()).unwrap();
    let files: Vec<String> = stored
        .iter()
        .map(|of| of.path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, ["mine-prefix.txt", "mine-name.txt"]);
    let lists = list_file::read_dir(dir.path()).unwrap();
    assert_eq!(lists.iter().map(|list| list.info.entries).collect::<Vec<_>>(), [1, 1]);
    let of_kind = |kind| lists.iter().find(|list| list.info.kind == kind).unwrap();
    assert_eq!(&*of_kind(Kind::Name).lines[0].tag, "rmm:x");
    assert_eq!(&*of_kind(Kind::Prefix).meanings[0].0, "rmm:y");
    assert_eq!(lists[0].info.half_life_days, Some(30.0));
    assert!(!lists[0].info.source.contains('\n'), "a header line cannot be injected");
    // A tag that cannot be one is refused, and nothing has changed.
    let bad = About { tag: Some("Not A Tag".into()), ..about() };
    let before = fs::read_to_string(dir.path().join("mine-name.txt")).unwrap();
    assert!(store(&first, &bad, dir.path()).is_err());
    assert_eq!(fs::read_to_string(dir.path().join("mine-name.txt")).unwrap(), before);
    // The next import has no names any more.
    let (_, next) = feed("192.0.2.7\n");
    store(&next, &about(), dir.path()).unwrap();
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["mine-prefix.txt"]);
    let undated = About { date: None, ..about() };
    assert!(store(&next, &undated, dir.path()).unwrap_err()[0].help.is_some());
}
