//! Fields of a home host that is driven, by name.

use std::sync::Arc;

use longhaul::model::Addr;
use longhaul::model::controller_leg::ControllerLeg;
use longhaul::model::endpoint::EndpointRow;
use longhaul::model::endpoint_facts::{Control, InputTest, SyntheticInput};
use serde_json::Value as Json;

use super::record::{nanos, small};

fn addr(value: &Json) -> Option<Addr> {
    value.as_str()?.parse::<std::net::IpAddr>().ok().map(Into::into)
}

/// A field of `longhaul.remote_control`.
pub(super) fn set_control(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let latest = row.traits.latest.as_deref().cloned();
    let nowhere = Addr::v4([0; 4]);
    let control = row.traits.control.get_or_insert_with(|| {
        Box::new(Control {
            confidence: 0.0,
            from: nowhere,
            to: nowhere,
            share: 0.0,
            baseline: 0.0,
            lag_ns: 0,
            keys: 0,
            windows: 0,
            days: 0,
            via: None,
            tool: None,
            approved: false,
            serves: false,
            relayed: false,
            leg: None,
            session: None,
        })
    });
    let text = || value.as_str().map(Arc::from);
    let none = ControllerLeg { whole_ns: 0, hidden_ns: None, samples: 0, method: "stun" };
    match name {
        "confidence" => control.confidence = value.as_f64()?,
        "from" => control.from = addr(value)?,
        "to" => control.to = addr(value)?,
        "share" => control.share = value.as_f64()?,
        "baseline" => control.baseline = value.as_f64()?,
        "lag_us" => control.lag_ns = nanos(value)?,
        "samples" => control.keys = small(value)?,
        "windows" => control.windows = small(value)?,
        "days" => control.days = small(value)?,
        "via" => control.via = Some(text()?),
        "tool" => control.tool = Some(text()?),
        "approved" => control.approved = value.as_bool()?,
        "serves" => control.serves = value.as_bool()?,
        "controller_us" => control.leg.get_or_insert(none).whole_ns = nanos(value)?,
        "hidden_us" => control.leg.get_or_insert(none).hidden_ns = Some(nanos(value)?),
        "round_trips" => control.leg.get_or_insert(none).samples = small(value)?,
        "method" if value == "handshake" => control.leg.get_or_insert(none).method = "handshake",
        "relayed" => control.relayed = value.as_bool()?,
        // That of the blank endpoint is home.
        "internal" => control.session = latest.filter(|_| value == &Json::Bool(true)),
        _ => return None,
    }
    Some(())
}

/// A field of `longhaul.synthetic_input`.
pub(super) fn set_synthetic(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let synthetic = row.traits.synthetic.get_or_insert_with(|| {
        Box::new(SyntheticInput {
            confidence: 0.0,
            test: InputTest::Fixed,
            statistic: 0.0,
            period_ms: 0,
            bursts: 0,
            from: Addr::v4([0; 4]),
            session: None,
        })
    });
    match name {
        "confidence" => synthetic.confidence = value.as_f64()?,
        "test" => {
            let all = [
                InputTest::Comb,
                InputTest::Fixed,
                InputTest::Bounded,
                InputTest::Phase,
                InputTest::Alone,
            ];
            synthetic.test = all.into_iter().find(|test| value == test.as_str())?;
        }
        "statistic" => synthetic.statistic = value.as_f64()?,
        "period_s" => synthetic.period_ms = (value.as_f64()? * 1_000.0).round() as u32,
        "samples" => synthetic.bursts = small(value)?,
        "from" => synthetic.from = addr(value)?,
        _ => return None,
    }
    Some(())
}
