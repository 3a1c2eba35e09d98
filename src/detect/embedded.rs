//! The embedded rules: every file of `rules/`, in path order.
//!
//! Owns: the list of files. In: their texts, when the program is built. Out: path and text of each.
//! Never: reads a rule.

macro_rules! embedded {
    ($($path:literal)+) => {
        /// Path below `rules/` and text of each rule file.
        pub(super) const EMBEDDED: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../rules/", $path)))),+];
    };
}

embedded! {
    "behaviour/d25_synthetic_input.yml"
    "behaviour/d26_hours_and_never_idle.yml"
    "behaviour/d31_input_stall_bursts.yml"
    "behaviour/d32_egress_volume_anomaly.yml"
    "behaviour/d42_conference_marathon.yml"
    "co_location/d14_colocated_employees.yml"
    "co_location/d15_farm_device_count.yml"
    "co_location/d16_user_ip_collision_new_hire.yml"
    "network/d01_vpn_exit_inbound.yml"
    "network/d02_hosting_asn_inbound.yml"
    "network/d06_tunnel_mtu.yml"
    "network/d17_impossible_travel_asn_flip.yml"
    "network/d18_consumer_vpn_from_inside.yml"
    "network/d19_encapsulated_tls.yml"
    "network/d20_resip_enrolment.yml"
    "network/d21_tor.yml"
    "network/d29_sanctioned_space.yml"
    "network/d33_new_far_destination.yml"
    "network/d37_browser_on_rented_server.yml"
    "network/d43_home_network_switch.yml"
    "physics/d03_hidden_leg_tls_gap.yml"
    "physics/d04_tunnelled_leg_rtt_excess.yml"
    "physics/d05_faster_than_light_geo.yml"
    "physics/d07_stack_split.yml"
    "physics/d30_tcp_udp_egress_split.yml"
    "physics/d34_address_far_from_claim.yml"
    "physics/d35_round_trip_above_claim.yml"
    "physics/d36_round_trip_above_region.yml"
    "physics/d46_far_controller.yml"
    "remote_control/d08_rmm_unapproved.yml"
    "remote_control/d09_rmm_multiple_families.yml"
    "remote_control/d10_rmm_controller_location.yml"
    "remote_control/d11_rmm_hidden_leg.yml"
    "remote_control/d12_rmm_to_work_stepping_stone.yml"
    "remote_control/d13_echo_ack_chain.yml"
    "remote_control/d22_ip_kvm_on_lan.yml"
    "remote_control/d23_ip_kvm_cloud_egress.yml"
    "remote_control/d24_screen_egress_shape.yml"
    "remote_control/d27_ide_tunnel.yml"
    "remote_control/d28_mesh_overlay.yml"
    "remote_control/d40_dual_role_address.yml"
    "remote_control/d41_first_seen_on_site.yml"
    "remote_control/d44_screen_shape_over_days.yml"
    "remote_control/d45_arp_covert_channel.yml"
}

include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// Path below `rules/` and text of each rule file and of each case.
pub fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    EMBEDDED.iter().chain(CASES).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_rule_file_is_built_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let on_disk: Vec<String> = crate::detect::load::read_dir(&root)
            .unwrap()
            .iter()
            .map(|file| file.path.strip_prefix(&root).unwrap().display().to_string())
            .collect();
        let built_in: Vec<&str> = EMBEDDED.iter().map(|(path, _)| *path).collect();
        assert_eq!(on_disk, built_in);
    }
}
