//! The packets of the classic monitor, and what classic daemons answered, against our codec.

#![expect(clippy::unwrap_used, reason = "vectors that are not as expected stop the test")]

use serde_json::Value;
use spread::wire::{DaemonId, FlowControl, MonitorCommand, MonitorRequest, Report};

const DAEMONS: usize = 3;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/20_monitor_packets.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn expected(packet: &Value) -> MonitorRequest {
    match packet["command"].as_str().unwrap() {
        "send partition" => MonitorRequest::Partition(vec![0, 0, 1]),
        "cancel partition" => MonitorRequest::Partition(vec![0, 0, 0]),
        "terminate d3" => MonitorRequest::Partition(vec![0, 0, -1]),
        "terminate all" => MonitorRequest::Partition(vec![-1, -1, -1]),
        "send flow control" => {
            MonitorRequest::FlowControl(FlowControl { personal: vec![Some(30), None, Some(40)], ring: Some(100) })
        }
        "reload" => MonitorRequest::Reload,
        "status of d2 activated" => MonitorRequest::Status,
        other => panic!("{other}"),
    }
}

#[test]
fn every_command_of_the_classic_monitor_is_understood_and_said_alike() {
    let vectors = vectors();
    let packets = vectors["spmonitor_packets"].as_array().unwrap();
    assert!(packets.len() > 10);
    for packet in packets {
        let datagram = bytes(&packet["hex"]);
        assert!(MonitorCommand::is_one(&datagram));
        let command = MonitorCommand::decode(&datagram, DAEMONS).unwrap();
        let request = expected(packet);
        // A classic monitor says 0 and ours "no change" for the accelerated window, which it was not asked for.
        let alike = matches!(request, MonitorRequest::FlowControl(_)) || command.encode() == datagram;
        assert!(alike, "{}", packet["command"]);
        let (from, configuration) = (DaemonId(0x7f00_0001), MonitorCommand::ANY_CONFIGURATION);
        assert_eq!(command, MonitorCommand { from, reply_port: 0x409f, configuration, request });
    }
}

#[test]
fn every_report_of_a_classic_daemon_is_understood_and_said_alike() {
    let vectors = vectors();
    for exchange in vectors["status_exchanges"].as_array().unwrap() {
        let reply = bytes(&exchange["reply"]);
        let report = Report::decode(&reply).unwrap();
        assert_eq!((report.ring_state, report.group_state, report.daemons), (1, 1, 3));
        assert_eq!((report.major, report.minor, report.patch), (4, 4, 0));
        assert_eq!((report.window, report.personal_window, report.accelerated_window), (160, 20, 15));
        assert_eq!(report.representative, 0x7f00_0001);
        assert_eq!(report.encode(), reply);
    }
}
