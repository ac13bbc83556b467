//! The clients that may join a group, send to it, or learn its members.
//!
//! If no rule names a group, it is open to everybody. Otherwise only the rules with the most exact name count, and one of them must
//! accept the client.

use std::fmt;
use std::sync::Arc;

use super::access::Rule;
use super::{Peer, UserId};
use crate::wire::Name;

/// Rules for groups; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRules(Arc<[GroupRule]>);

/// An action of a client on a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Be a member.
    Join,
    /// Send to its members.
    Send,
    /// Be a member that learns the other members.
    Monitor,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Join => "join",
            Action::Send => "send",
            Action::Monitor => "monitor",
        })
    }
}

/// The proved identity of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Where it comes from.
    pub peer: Peer,
    /// The user of the password file whose password it knew.
    pub user: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct GroupRule {
    pattern: Pattern,
    actions: Vec<Action>,
    who: Vec<Who>,
}

/// The group of one name, or all groups whose names begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Prefix(String),
    Exact(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Everybody,
    Nobody,
    From(Rule),
    User(u32),
    Password(String),
}

impl GroupRules {
    /// These rules in the order of their lines.
    pub(super) fn new(lines: Vec<LineRule>) -> GroupRules {
        GroupRules(lines.into_iter().map(|line| line.0).collect())
    }

    /// Whether every group is open to everybody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a client may do this with a group.
    pub fn allow(&self, action: Action, group: &Name, client: &Identity) -> bool {
        let naming = || self.0.iter().filter(|rule| rule.actions.contains(&action) && rule.pattern.has(group));
        // Open by default, because a classic access file has no such rules and must keep its meaning.
        let Some(most_exact) = naming().map(|rule| rule.pattern.exactness()).max() else { return true };
        let mut counting = naming().filter(|rule| rule.pattern.exactness() == most_exact);
        counting.any(|rule| rule.who.iter().any(|who| who.is(client)))
    }
}

/// A rule that a line states.
#[derive(Debug)]
pub(super) struct LineRule(GroupRule);

impl LineRule {
    /// Reads what follows `group`: a name, actions separated by commas, and who may do them.
    pub(super) fn parse(line: &str, user_id: UserId<'_>) -> Result<LineRule, &'static str> {
        let mut words = line.split_whitespace();
        let pattern = words.next().ok_or("expected a group's name, or its beginning and *")?;
        let pattern = match pattern.strip_suffix('*') {
            Some(prefix) => Pattern::Prefix(prefix.to_string()),
            None => Pattern::Exact(pattern.to_string()),
        };
        let actions = words.next().unwrap_or_default().split(',').map(action).collect::<Option<Vec<_>>>();
        let actions = actions.ok_or("expected join, send, monitor, several of them with commas, or all")?.concat();
        let who = words.map(|word| Who::parse(word, user_id)).collect::<Result<Vec<_>, _>>()?;
        // There is a word for nobody, so an empty list is a mistake.
        if who.is_empty() {
            return Err("expected who may do it: *, nobody, unix, local, an address, user:NAME or password:NAME");
        }
        Ok(LineRule(GroupRule { pattern, actions, who }))
    }
}

fn action(word: &str) -> Option<Vec<Action>> {
    Some(match word {
        "join" => vec![Action::Join],
        "send" => vec![Action::Send],
        "monitor" => vec![Action::Monitor],
        "all" => vec![Action::Join, Action::Send, Action::Monitor],
        _ => return None,
    })
}

impl Pattern {
    fn has(&self, group: &Name) -> bool {
        match self {
            Pattern::Prefix(prefix) => group.as_bytes().starts_with(prefix.as_bytes()),
            Pattern::Exact(name) => group.as_bytes() == name.as_bytes(),
        }
    }

    fn exactness(&self) -> (bool, usize) {
        // A whole name is more exact than any prefix.
        match self {
            Pattern::Prefix(prefix) => (false, prefix.len()),
            Pattern::Exact(name) => (true, name.len()),
        }
    }
}

impl Who {
    fn parse(word: &str, user_id: UserId<'_>) -> Result<Who, &'static str> {
        if let Some(user) = word.strip_prefix("user:") {
            return user_id(user).map(Who::User).ok_or("there is no such user on this machine");
        }
        Ok(match (word, word.strip_prefix("password:")) {
            ("*", _) => Who::Everybody,
            ("nobody", _) => Who::Nobody,
            (_, Some(user)) => Who::Password(user.to_string()),
            _ => Who::From(Rule::parse(word)?),
        })
    }

    fn is(&self, client: &Identity) -> bool {
        match self {
            Who::Everybody => true,
            Who::Nobody => false,
            Who::From(rule) => rule.has(client.peer),
            Who::User(uid) => client.peer == Peer::User(*uid),
            Who::Password(user) => client.user.as_deref() == Some(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AccessList;
    use super::*;

    fn rules(text: &str) -> GroupRules {
        let ids = |name: &str| [("alice", 1000), ("bob", 1001)].iter().find(|user| user.0 == name).map(|user| user.1);
        AccessList::parse_with(text, &ids).unwrap().groups().clone()
    }

    fn may(rules: &GroupRules, action: Action, group: &str, client: &Identity) -> bool {
        rules.allow(action, &Name::new(group.as_bytes()).unwrap(), client)
    }

    fn from(peer: Peer) -> Identity {
        Identity { peer, user: None }
    }

    #[test]
    fn a_group_without_a_rule_is_open_and_one_with_a_rule_is_for_those_it_has() {
        let rules = rules("group pay join,send user:alice 10.0.0.0/8\ngroup pay monitor nobody\n");
        let (alice, bob) = (from(Peer::User(1000)), from(Peer::User(1001)));
        let near = from(Peer::Tcp("10.1.2.3".parse().unwrap()));
        for (action, client, allowed) in [
            (Action::Join, &alice, true),
            (Action::Send, &alice, true),
            (Action::Monitor, &alice, false),
            (Action::Join, &bob, false),
            (Action::Send, &near, true),
        ] {
            assert_eq!(may(&rules, action, "pay", client), allowed, "{action:?} of {client:?}");
            assert!(may(&rules, action, "payroll", client));
        }
    }

    #[test]
    fn the_most_exact_name_counts_and_lines_for_the_same_name_add_up() {
        let rules = rules("group * send nobody\ngroup log* send local\ngroup log.x send unix\ngroup log.x send local");
        let (unix, local) = (from(Peer::Unix), from(Peer::Tcp("127.0.0.1".parse().unwrap())));
        for (group, client, allowed) in [
            ("other", &local, false),
            ("log.y", &local, true),
            ("log.y", &unix, false),
            ("log.x", &unix, true),
            ("log.x", &local, true),
        ] {
            assert_eq!(may(&rules, Action::Send, group, client), allowed, "{group} of {client:?}");
        }
        assert!(may(&rules, Action::Join, "other", &local), "of joining nothing is said");
    }

    #[test]
    fn a_password_is_a_way_to_be_somebody() {
        let rules = rules("group g all password:carol");
        let carol = Identity { peer: Peer::Unix, user: Some("carol".into()) };
        assert!(may(&rules, Action::Monitor, "g", &carol) && !may(&rules, Action::Join, "g", &from(Peer::Unix)));
    }
}
