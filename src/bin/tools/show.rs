//! Received messages as lines for a person. Control characters of other senders never reach the terminal, and long bodies are cut.

use std::fmt::Write;

use spread::client::{Message, Received, View};
use spread::wire::{Cause, FrameType, GroupId, Name};

/// The most bytes of a body that are shown.
const SHOWN: usize = 4096;

/// Describes a message; `own` is the receiver's private group. No newline at the end.
pub fn received(received: &Received, own: Name) -> String {
    match received {
        Received::Message(message) => data("message", message),
        Received::Refused(message) => data("refused message", message),
        Received::View(view) => membership(view, own),
        Received::Transition(group, id) => format!("transition of {group}: the view {} is ending", number(*id)),
        Received::Left(group) => format!("left {group}"),
    }
}

fn data(what: &str, message: &Message) -> String {
    let Message { kind, sender, groups, mess_type, foreign_order, body } = message;
    let order = if *foreign_order { "foreign" } else { "own" };
    let (service, to, length) = (service(*kind), groups.len(), body.len());
    let to = if to == 1 { "1 group".to_owned() } else { format!("{to} groups") };
    let groups = names(groups);
    let front = format!("{service} {what} from {sender} to {to} ({groups})");
    format!("{front}, type {mess_type}, {order} byte order, {length} bytes{}", text(body))
}

/// The text of a body up to its first NUL, each line indented on a line of its own.
fn text(body: &[u8]) -> String {
    let text = body.split(|&byte| byte == 0).next().unwrap_or_default();
    let shown = &text[..text.len().min(SHOWN)];
    let mut lines = String::new();
    for line in String::from_utf8_lossy(shown).lines() {
        lines.push_str("\n  ");
        lines.extend(line.chars().map(|c| if c.is_control() { '.' } else { c }));
    }
    if shown.len() < text.len() {
        lines.push_str("\n  …");
    }
    lines
}

fn membership(view: &View, own: Name) -> String {
    let View { group, cause, members, id, .. } = view;
    let place = members.iter().position(|&member| member == own);
    let place = place.map_or("not a member".to_owned(), |place| format!("own index {place}"));
    let count = if members.len() == 1 { "1 member".to_owned() } else { format!("{} members", members.len()) };
    let mut lines = format!("view of {group}: {count}, {place}, id {}, after {}", number(*id), reason(*cause, view));
    for (index, member) in members.iter().enumerate() {
        let _ = write!(lines, "\n  {index} {member}");
    }
    if *cause == Cause::Network {
        for (index, set) in view.vs_sets.iter().enumerate() {
            let mark = if index == view.own { ", own" } else { "" };
            let _ = write!(lines, "\n  vs set {index}{mark}: {}", names(set));
        }
    }
    lines
}

fn reason(cause: Cause, view: &View) -> String {
    let changed = view.vs_sets.first().and_then(|set| set.first());
    let who = changed.map_or("nobody".to_owned(), Name::to_string);
    match cause {
        Cause::Join => format!("the join of {who}"),
        Cause::Leave => format!("the leave of {who}"),
        Cause::Disconnect => format!("the disconnect of {who}"),
        Cause::Network => "a network change".to_owned(),
    }
}

fn service(kind: FrameType) -> &'static str {
    let services = [
        (FrameType::UNRELIABLE, "UNRELIABLE"),
        (FrameType::RELIABLE, "RELIABLE"),
        (FrameType::FIFO, "FIFO"),
        (FrameType::CAUSAL, "CAUSAL"),
        (FrameType::AGREED, "AGREED"),
        (FrameType::SAFE, "SAFE"),
    ];
    services.into_iter().find(|(bit, _)| kind.contains(*bit)).map_or("other", |(_, name)| name)
}

fn names(names: &[Name]) -> String {
    names.iter().map(Name::to_string).collect::<Vec<_>>().join(" ")
}

fn number(GroupId([first, second, third]): GroupId) -> String {
    format!("{first}.{second}.{third}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn message(body: &[u8]) -> Received {
        Received::Message(Message {
            kind: FrameType::SAFE,
            sender: name("#a#d"),
            groups: vec![name("g"), name("h")],
            mess_type: 1,
            foreign_order: false,
            body: body.to_vec(),
        })
    }

    #[test]
    fn a_message_shows_its_text_without_control_characters() {
        let shown = received(&message(b"two\nlines\x1b[2J\n\0rest"), name("#a#d"));
        let front = "SAFE message from #a#d to 2 groups (g h), type 1, own byte order, 19 bytes";
        assert_eq!(shown, format!("{front}\n  two\n  lines.[2J"));
    }

    #[test]
    fn a_long_text_is_cut() {
        let shown = received(&message(&[b'x'; SHOWN + 1]), name("#a#d"));
        assert!(shown.ends_with(&format!("\n  {}\n  …", "x".repeat(SHOWN))));
    }

    #[test]
    fn a_network_change_shows_the_sets_and_the_own_one() {
        let (a, b) = (name("#a#d"), name("#b#e"));
        let view = View {
            group: name("g"),
            cause: Cause::Network,
            members: vec![a, b],
            id: GroupId([1, 2, 3]),
            vs_sets: vec![vec![a], vec![b]],
            own: 1,
        };
        let front = "view of g: 2 members, own index 1, id 1.2.3, after a network change\n  0 #a#d\n  1 #b#e";
        let sets = "\n  vs set 0: #a#d\n  vs set 1, own: #b#e";
        assert_eq!(received(&Received::View(view), b), format!("{front}{sets}"));
    }
}
