//! Builds a tree from tokens, by recursive descent.
//!
//! A stanza ends at its first mistake. Reading goes on at the next word that can begin a stanza, so every stanza with a mistake
//! is reported. Each method consumes at least one token or fails, and each stanza consumes its keyword first. So the work is
//! linear in the number of tokens, whatever they are.

use super::address::{self, Endpoint, Reading};
use super::draft::Draft;
use super::error::{Findings, Mistake, Position, shown};
use super::keywords::{self, Form, Keyword};
use super::lexer::{ConfigToken, Kind};
use super::syntax::{
    DaemonSyntax, InterfaceSyntax, NetworkMode, NetworkStanza, NetworkSyntax, SegmentSyntax, Spanned, Tree,
};
use super::values;
use crate::multipath::Policy;

/// The tree of these tokens, without the stanzas that have mistakes.
pub(super) fn parse(tokens: &[ConfigToken], findings: &mut Findings) -> Tree {
    let mut parser = Parser { tokens, next: 0, in_segment: false };
    let mut tree = Tree::default();
    while parser.peek().kind != Kind::End {
        if let Err(mistake) = parser.stanza(&mut tree, findings) {
            findings.error(mistake);
            parser.skip_to_stanza();
        }
    }
    tree
}

pub(super) type Parsed<T> = Result<T, Mistake>;

/// The tokens, and the position of the next one.
pub(super) struct Parser<'a> {
    tokens: &'a [ConfigToken],
    next: usize,
    /// A mistake ended a segment between its braces, so its closing brace may still come.
    in_segment: bool,
}

impl<'a> Parser<'a> {
    fn stanza(&mut self, tree: &mut Tree, findings: &mut Findings) -> Parsed<()> {
        let token = self.bump();
        if token.kind == Kind::Separator {
            return Ok(());
        }
        // This brace closes a segment that ended at a mistake. It is no second mistake.
        if token.kind == Kind::Close && std::mem::take(&mut self.in_segment) {
            return Ok(());
        }
        // A quoted text is never a keyword.
        let known = if token.kind == Kind::Word { keywords::keyword(&token.text) } else { None };
        let Some(keyword) = known else { return Err(no_stanza(token)) };
        if let Some(note) = keyword.note {
            findings.warning(token.at, format!("{} {note}", keyword.name));
        }
        match keyword.form {
            Form::Segment => tree.segments.push(self.segment(token)?),
            Form::Routes => self.routes()?,
            Form::Network => tree.networks.push(self.network_stanza(token)?),
            _ => self.parameter(keyword, &mut tree.draft)?,
        }
        Ok(())
    }

    fn skip_to_stanza(&mut self) {
        while !self.at_stanza() {
            self.bump();
        }
    }

    /// Whether a stanza may begin at the next token: a keyword, a word before `=`, or the end of the file.
    fn at_stanza(&self) -> bool {
        let token = self.peek();
        let Some(word) = token.word() else {
            return token.kind == Kind::End;
        };
        let key = word.split_once('=').map_or(word, |(key, _)| key);
        // There is a next token: this one is a word, and the list ends with the end of the file.
        keywords::keyword(key).is_some() || self.tokens[self.next + 1].kind == Kind::Equals
    }

    fn segment(&mut self, keyword: &ConfigToken) -> Parsed<SegmentSyntax> {
        let mut networks = Vec::new();
        while self.peek().kind != Kind::Open {
            networks.push(self.network()?);
        }
        let open = self.bump();
        if networks.is_empty() {
            let message = "a segment needs an address, such as 239.77.0.1:4803, or the word unicast before its {";
            return Err(Mistake::new(open.at, message));
        }
        self.in_segment = true;
        let mut daemons = Vec::new();
        loop {
            self.skip_separators();
            if self.peek().kind == Kind::Close {
                break;
            }
            daemons.push(self.daemon(keyword, networks.len())?);
        }
        self.bump();
        self.in_segment = false;
        Ok(SegmentSyntax { at: keyword.at, networks, daemons })
    }

    fn network(&mut self) -> Parsed<Spanned<NetworkSyntax>> {
        let token = self.peek();
        let value = match values::unicast(token) {
            Some(port) => NetworkSyntax::Unicast { port: port? },
            None => NetworkSyntax::Address(self.endpoint("a network address, the word unicast, or {")?),
        };
        if matches!(value, NetworkSyntax::Unicast { .. }) {
            self.bump();
        }
        Ok(Spanned { value, at: token.at })
    }

    fn skip_separators(&mut self) {
        while self.peek().kind == Kind::Separator {
            self.bump();
        }
    }

    fn daemon(&mut self, segment: &ConfigToken, networks: usize) -> Parsed<DaemonSyntax> {
        let token = self.peek();
        if token.kind == Kind::End {
            let message = format!("the file ends inside the segment begun in line {}: write }}", segment.at.line);
            return Err(Mistake::new(token.at, message));
        }
        let name = match values::address(token) {
            // An entry without a name begins with its address, which is read again below.
            Some(endpoint) => address::name_of(endpoint.ip),
            None => {
                let name = values::daemon_name(token)?;
                self.bump();
                name
            }
        };
        let name = Spanned { value: name, at: token.at };
        let mut addresses = Vec::new();
        // With one network, an address at the start of a line is the next daemon, which has no name.
        while self.at_address() && !(networks == 1 && !addresses.is_empty() && self.begins_line()) {
            let at = self.peek().at;
            addresses.push(Spanned { value: self.endpoint("an address")?, at });
        }
        // `VirtualID` may stand before or after the block of interfaces.
        let before = self.virtual_id()?;
        let interfaces = if self.peek().kind == Kind::Open { Some(self.interfaces()?) } else { None };
        let virtual_id = self.virtual_id()?.or(before);
        Ok(DaemonSyntax { name, addresses, interfaces, virtual_id })
    }

    /// Whether the next token is the first of its line.
    fn begins_line(&self) -> bool {
        self.next.checked_sub(1).is_none_or(|last| self.tokens[last].at.line < self.peek().at.line)
    }

    fn virtual_id(&mut self) -> Parsed<Option<Position>> {
        let at = self.peek().at;
        if self.peek().word() != Some(keywords::VIRTUAL_ID) {
            return Ok(None);
        }
        self.bump();
        self.expect(Kind::Equals, "= after VirtualID, with a blank on both sides")?;
        values::number(self.bump())?;
        Ok(Some(at))
    }

    fn interfaces(&mut self) -> Parsed<Vec<InterfaceSyntax>> {
        let open = self.bump();
        let mut interfaces = Vec::new();
        while self.peek().kind != Kind::Close {
            interfaces.push(self.interface()?);
        }
        self.bump();
        if interfaces.is_empty() {
            return Err(Mistake::new(
                open.at,
                "an empty block: list interfaces such as D 10.0.0.1, or leave out the { }",
            ));
        }
        Ok(interfaces)
    }

    fn interface(&mut self) -> Parsed<InterfaceSyntax> {
        let (mut traffic, mut clients, mut monitors) = (false, false, false);
        while self.peek().kind == Kind::Word {
            match self.peek().text.as_str() {
                "D" => traffic = true,
                "C" => clients = true,
                "M" => monitors = true,
                _ => break,
            }
            self.bump();
        }
        let at = self.peek().at;
        let value = self.endpoint("D, C, M, an address, or }")?;
        // An interface without a letter serves everything.
        let all = !(traffic || clients || monitors);
        Ok(InterfaceSyntax { traffic: traffic || all, clients: clients || all, address: Spanned { value, at } })
    }

    fn routes(&mut self) -> Parsed<()> {
        self.expect(Kind::Open, "{ after RouteMatrix")?;
        while self.peek().kind != Kind::Close {
            // The numbers are checked and dropped, because routes have no meaning here.
            values::number(self.peek())?;
            self.bump();
        }
        self.bump();
        Ok(())
    }

    fn network_stanza(&mut self, keyword: &ConfigToken) -> Parsed<NetworkStanza> {
        let stanza = self.network_block(keyword);
        if stanza.is_err() {
            // Otherwise each word in the rest of the block would be reported as an unknown keyword.
            self.skip_block();
        }
        stanza
    }

    /// Skips up to and including the next closing brace, unless a stanza begins before it.
    fn skip_block(&mut self) {
        let begins_stanza = |token: &ConfigToken| token.word().is_some_and(|word| keywords::keyword(word).is_some());
        while !matches!(self.peek().kind, Kind::Close | Kind::End) && !begins_stanza(self.peek()) {
            self.bump();
        }
        if self.peek().kind == Kind::Close {
            self.bump();
        }
    }

    fn network_block(&mut self, keyword: &ConfigToken) -> Parsed<NetworkStanza> {
        let number = values::number(self.bump())?;
        self.expect(Kind::Open, "{ after the number of the network")?;
        let (name, mode, port, interface, priority) = (None, None, None, None, None);
        let mut stanza = NetworkStanza { at: keyword.at, number, name, mode, port, interface, priority };
        while self.peek().kind != Kind::Close {
            self.network_key(&mut stanza)?;
        }
        self.bump();
        Ok(stanza)
    }

    fn network_key(&mut self, stanza: &mut NetworkStanza) -> Parsed<()> {
        let key = self.bump();
        let index = values::choice(key, &keywords::NETWORK_KEYS)?;
        self.expect(Kind::Equals, &format!("= after {}, with a blank on both sides", key.text))?;
        let value = self.bump();
        let again = match index {
            0 => stanza.name.replace(values::text(value)?).is_some(),
            1 => {
                let modes = [NetworkMode::Multicast, NetworkMode::Broadcast, NetworkMode::Unicast];
                let mode = modes[values::choice(value, &keywords::MODES)?];
                stanza.mode.replace(Spanned { value: mode, at: value.at }).is_some()
            }
            2 => stanza.port.replace(values::number(value)?).is_some(),
            3 => stanza.interface.replace(values::text(value)?).is_some(),
            _ => stanza.priority.replace(values::priority(value)?).is_some(),
        };
        if again {
            return Err(Mistake::new(key.at, format!("{} is given already: write it once", key.text)));
        }
        Ok(())
    }

    /// Reads the value of a parameter and stores it.
    fn parameter(&mut self, keyword: &Keyword, draft: &mut Draft) -> Parsed<()> {
        if let Form::Bare(store) = keyword.form {
            self.no_value(keyword)?;
            store(draft);
            return Ok(());
        }
        // The value may be left out, as in a bare `EventTimeStamp`.
        if let Form::OptionalText(store) = keyword.form
            && self.peek().kind != Kind::Equals
        {
            store(draft, None);
            return Ok(());
        }
        self.expect(Kind::Equals, &format!("= after {}, with a blank on both sides", keyword.name))?;
        let name = keyword.name;
        match &keyword.form {
            Form::Flags(store) => return self.flags().map(|flags| store(draft, flags)),
            Form::Policy(store) => return self.policy().map(|policy| store(draft, policy)),
            Form::OptionalText(store) => store(draft, Some(values::text(self.peek())?.value)),
            Form::Text(store) => store(draft, values::text(self.peek())?),
            Form::Number(range, store) => store(draft, values::within(name, range, values::number(self.peek())?)?),
            Form::Size(range, store) => store(draft, values::within(name, range, values::size(self.peek())?)?),
            Form::Place(port, store) => store(draft, values::place(name, self.peek(), *port)?),
            Form::Boolean(store) => store(draft, values::boolean(self.peek())?),
            Form::Choice(words, store) => store(draft, values::choice(self.peek(), words)?),
            Form::Segment | Form::Routes | Form::Network | Form::Bare(_) => unreachable!("read above"),
        }
        self.bump();
        Ok(())
    }

    fn no_value(&mut self, keyword: &Keyword) -> Parsed<()> {
        match self.peek().kind {
            Kind::Equals => {
                Err(Mistake::new(self.peek().at, format!("{} takes no value: it stands alone", keyword.name)))
            }
            _ => Ok(()),
        }
    }

    /// The flags, each with its `!` if it has one.
    fn flags(&mut self) -> Parsed<Vec<String>> {
        let mut flags = Vec::new();
        self.expect(Kind::Open, "{ before the flags, as in DebugFlags = { PRINT EXIT }")?;
        while self.peek().kind != Kind::Close {
            let token = self.bump();
            let (mark, word) = match token.word() {
                // The mark may stand apart from its flag.
                Some("!") => ("!", self.bump().word()),
                word => match word.and_then(|word| word.strip_prefix('!')) {
                    Some(word) => ("!", Some(word)),
                    None => ("", word),
                },
            };
            let flag = values::flag(word).map_err(|message| Mistake::new(token.at, message))?;
            flags.push(format!("{mark}{flag}"));
        }
        self.bump();
        Ok(flags)
    }

    fn policy(&mut self) -> Parsed<Spanned<Policy>> {
        let token = self.bump();
        let word = Policy::WORDS[values::choice(token, &Policy::WORDS)?];
        // Otherwise the next token already belongs to the next parameter.
        let counted = Policy::takes_copies(word) && values::number(self.peek()).is_ok();
        let copies = if counted { Some(values::copies(self.bump())?) } else { None };
        let value = Policy::from_words(word, copies).expect("the word is one of the policies, and takes this number");
        Ok(Spanned { value, at: token.at })
    }

    fn at_address(&self) -> bool {
        self.peek().word().is_some_and(|word| address::read(word) != Reading::NoAddress)
    }

    fn endpoint(&mut self, wanted: &str) -> Parsed<Endpoint> {
        let token = self.peek();
        match token.word().map_or(Reading::NoAddress, address::read) {
            Reading::Address(endpoint) => {
                self.bump();
                Ok(endpoint)
            }
            Reading::Broken(rule) => Err(Mistake::new(token.at, format!("{}: {rule}", shown(&token.text)))),
            Reading::NoAddress => Err(values::unexpected(token, wanted)),
        }
    }

    fn expect(&mut self, kind: Kind, wanted: &str) -> Parsed<()> {
        let token = self.peek();
        if token.kind != kind {
            return Err(values::unexpected(token, wanted));
        }
        self.bump();
        Ok(())
    }

    fn peek(&self) -> &'a ConfigToken {
        &self.tokens[self.next]
    }

    /// Takes the next token. The end of the file stays the next token for ever.
    fn bump(&mut self) -> &'a ConfigToken {
        let token = self.peek();
        if token.kind != Kind::End {
            self.next += 1;
        }
        token
    }
}

fn no_stanza(token: &ConfigToken) -> Mistake {
    let word = shown(&token.text);
    let message = match (token.kind, token.text.split_once('=')) {
        (Kind::Word, Some((key, value))) if keywords::keyword(key).is_some() => {
            let value = if value.is_empty() { "..." } else { value };
            format!("{word}: = needs a blank on both sides: write {}", shown(&format!("{key} = {value}")))
        }
        (Kind::Word, _) => match keywords::nearest_keyword(&token.text) {
            Some(keyword) => format!("{word} is no keyword: did you mean {keyword}?"),
            None => format!("{word} is no keyword: write Spread_Segment or a parameter, such as EventPriority = INFO"),
        },
        _ => values::unexpected(token, "a keyword, such as Spread_Segment").message,
    };
    Mistake::new(token.at, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lexer;

    fn parsed(text: &str) -> (Tree, Vec<String>) {
        let mut findings = Findings::default();
        let tokens = lexer::tokens(text.as_bytes(), &mut findings);
        let tree = parse(&tokens, &mut findings);
        let (errors, _) = findings.into_diagnostics("f");
        (tree, errors.iter().map(ToString::to_string).collect())
    }

    fn errors(text: &str) -> Vec<String> {
        parsed(text).1
    }

    #[test]
    fn networks_daemons_and_interfaces_are_read_in_order() {
        let (tree, errors) = parsed(
            "Spread_Segment 239.0.0.1:4000 unicast:4001{a 10.0.0.1{D 10.0.0.1 C M 10.0.0.2 fd00::1}b 10.0.0.3 10.0.1.3}",
        );
        assert_eq!(errors, [""; 0]);
        let segment = &tree.segments[0];
        assert_eq!(segment.networks[1].value, NetworkSyntax::Unicast { port: Some(4001) });
        let interfaces = segment.daemons[0].interfaces.as_ref().unwrap();
        let letters: Vec<_> = interfaces.iter().map(|i| (i.traffic, i.clients)).collect();
        assert_eq!(letters, [(true, false), (false, true), (true, true)]);
        assert_eq!(segment.daemons[1].addresses.len(), 2);
    }

    #[test]
    fn every_broken_stanza_is_reported_with_its_place() {
        let text = "spread_segment 10.0.0.255 { a 10.0.0.1 }\nWindow=160\nPersonalWindow = many\nFoo = 1\nBar = 2\n\
                    Spread_Segment 10.0.0.255 {\n C 10.0.0.1\n}\nSpread_Segment 10.0.0.255 {\n a 10.0.0.1";
        let expected = [
            "f:1:1: \"spread_segment\" is no keyword: did you mean Spread_Segment?",
            "f:2:1: \"Window=160\": = needs a blank on both sides: write \"Window = 160\"",
            "f:3:18: expected a number of 1 to 6 digits, found \"many\"",
            "f:4:1: \"Foo\" is no keyword: write Spread_Segment or a parameter, such as EventPriority = INFO",
            "f:5:1: \"Bar\" is no keyword: write Spread_Segment or a parameter, such as EventPriority = INFO",
            "f:7:2: \"C\" has a meaning of its own: to name a daemon so, put it in quotes",
            "f:10:12: the file ends inside the segment begun in line 9: write }",
        ];
        assert_eq!(errors(text), expected);
    }

    #[test]
    fn a_parameter_inside_a_segment_is_one_mistake() {
        let errors = errors("Spread_Segment 10.0.0.255 {\n a 10.0.0.1\n Window = 50\n}\nEventPriority = INFO");
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with("f:3:2: Window cannot stand inside a segment"), "{}", errors[0]);
    }

    #[test]
    fn a_stray_brace_is_a_mistake() {
        assert_eq!(errors("}"), ["f:1:1: expected a keyword, such as Spread_Segment, found }"]);
        assert_eq!(errors("Spread_Segment { }").len(), 1);
    }

    #[test]
    fn flags_may_be_negated_with_or_without_a_blank() {
        assert_eq!(errors("DebugFlags = { ALL !DATA_LINK ! EVENTS NONE } DebugFlags = { }"), [""; 0]);
        for wrong in ["{ print }", "{ PRINT, EXIT }", "PRINT", "{ ! }", "{ \"PRINT\" }", "{ PRINT"] {
            assert_eq!(errors(&format!("DebugFlags = {wrong}")).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_policy_may_say_how_many_networks() {
        for good in ["active", "active 2", "passive", "primary"] {
            assert_eq!(errors(&format!("NetworkPolicy = {good} Window = 100")), [""; 0], "{good}");
        }
        for wrong in ["activ", "active 0", "active 9", "passive 2", "\"active\"", ""] {
            assert_eq!(errors(&format!("NetworkPolicy = {wrong}")).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_value_cannot_be_forgotten() {
        assert_eq!(errors("EventLogFile = \nDaemonUser = root").len(), 1);
        assert_eq!(errors("EventTimeStamp\nEventPreciseTimeStamp\nDaemonUser = root"), [""; 0]);
        assert_eq!(errors("EventPreciseTimeStamp = true").len(), 1);
    }
}
