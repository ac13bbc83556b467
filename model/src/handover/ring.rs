//! An installed ring: the token visits, rests and goes on, and packets get numbers.

use super::{
    Action, Claim, Daemon, FIRST, Handed, Handover, Message, Packet, Phase, RingId, State, Token, Visit, visited,
};

impl Handover {
    /// Whether a daemon has something to send. In a later ring that is what it sends again.
    fn may_send(&self, state: &State, me: usize) -> bool {
        let Daemon { ring, next, made, .. } = state.daemons[me];
        next < if ring == FIRST { self.messages[me] } else { made }
    }

    /// What a daemon may do that has its ring installed.
    pub(super) fn operate(&self, state: &State, me: usize, actions: &mut Vec<Action>) {
        let (daemon, ring) = (&state.daemons[me], state.ring_of(me));
        if daemon.ring != FIRST {
            return;
        }
        if daemon.holds.is_some() {
            actions.extend(self.may_send(state, me).then_some(Action::SendAtRest { me }));
            actions.push(Action::LetGo { me, sends: false });
            actions.extend(self.may_send(state, me).then_some(Action::LetGo { me, sends: true }));
            actions.extend(ring.handed_over.iter().map(|&packet| Action::Handover { holder: me, packet }));
            return;
        }
        // The first number that is free as far as it knows: by the packets that are here, or by what the holder announced.
        let free = daemon.high() + 1..=ring.numbered.len() as u8 + 1;
        let hands_over = match daemon.handed {
            None => self.may_send(state, me),
            // Everything up to a higher claim is here.
            Some(Handed::InDoubt(packet)) => packet.claim() < state.last_claim(me),
            Some(_) => false,
        };
        if hands_over {
            actions.extend(free.map(|claims| Action::HandOver { me, claims }));
        }
    }

    /// A token arrives.
    pub(super) fn visit(&self, state: &mut State, id: RingId, visit: Visit) {
        let Some(token) = state.rings[&id].token else { return };
        let me = visited(state.rings[&id].members, token.hop);
        match &state.daemons[me].phase {
            Phase::Settled { ring, .. } if *ring == id => state.install(me),
            Phase::Operational if state.daemons[me].ring == id => {}
            _ => return,
        }
        let daemon = &mut state.daemons[me];
        if token.hop <= daemon.hop {
            return;
        }
        match visit {
            Visit::Rest if daemon.aru() == token.seq && daemon.handed.is_none() => {
                (daemon.hop, daemon.holds) = (token.hop, Some(token));
            }
            Visit::Rest => {}
            Visit::Turn { sends } => self.turn(state, me, token, sends),
        }
    }

    /// The holder lets the token go round.
    pub(super) fn let_go(&self, state: &mut State, me: usize, sends: bool) {
        if let Some(token) = state.daemons[me].holds.take() {
            self.turn(state, me, token, sends);
        }
    }

    /// Numbers a packet or not, and passes the token on.
    fn turn(&self, state: &mut State, me: usize, mut token: Token, sends: bool) {
        if sends {
            match state.daemons[me].handed {
                // Before it has all packets that were handed over, it cannot know that its own has no number.
                Some(Handed::InDoubt(packet)) if state.daemons[me].aru() >= token.handed => {
                    state.daemons[me].handed = None;
                    state.number(me, &mut token, Packet { claims: 0, ..packet });
                }
                Some(_) => {}
                None if self.may_send(state, me) => {
                    let packet = state.make(me, 0);
                    state.number(me, &mut token, packet);
                }
                None => {}
            }
        }
        token.hop += 1;
        state.daemons[me].hop = token.hop;
        let ring = state.rings.get_mut(&state.daemons[me].ring).expect("it is in this ring");
        if token.hop <= ring.last_hop {
            ring.token = Some(token);
        }
    }
}

impl State {
    /// The next message of a daemon as a packet.
    fn make(&mut self, me: usize, claims: u8) -> Packet {
        let daemon = &mut self.daemons[me];
        let message = Message { origin: me as u8, index: daemon.next };
        daemon.next += 1;
        daemon.made = daemon.made.max(daemon.next);
        Packet { message, offset: message.index - daemon.first, claims }
    }

    fn number(&mut self, me: usize, token: &mut Token, mut packet: Packet) {
        token.seq += 1;
        if packet.claims == 0 {
            packet.claims = token.seq;
        }
        if usize::from(packet.message.origin) != me {
            token.handed = token.seq;
        }
        let id = self.daemons[me].ring;
        let ring = self.rings.get_mut(&id).expect("it is in this ring");
        self.contradiction |= ring.numbered.len() + 1 != usize::from(token.seq);
        ring.numbered.push(packet);
        self.daemons[me].has |= 1 << (token.seq - 1);
    }

    /// The holder numbers a message of its own.
    pub(super) fn send_at_rest(&mut self, me: usize) {
        let Some(mut token) = self.daemons[me].holds else { return };
        // The lowest number that stands behind the last claim, so that this passes no claim that is on its way here.
        let (number, origin): Claim = self.last_claim(me);
        let claims = if me as u8 > origin { number } else { number + 1 };
        let packet = self.make(me, claims);
        self.number(me, &mut token, packet);
        self.daemons[me].holds = Some(token);
    }

    /// Hands the next packet over, or the same with another claim.
    pub(super) fn hand_over(&mut self, me: usize, claims: u8) {
        let packet = match self.daemons[me].handed {
            Some(Handed::InDoubt(packet)) => Packet { claims, ..packet },
            _ => self.make(me, claims),
        };
        let daemon = &mut self.daemons[me];
        daemon.handed = Some(Handed::InDoubt(packet));
        self.rings.get_mut(&daemon.ring).expect("it is in this ring").handed_over.insert(packet);
    }

    /// A copy of what was handed over arrives at a holder.
    pub(super) fn on_handover(&mut self, me: usize, packet: Packet) {
        let Some(mut token) = self.daemons[me].holds else { return };
        let position = self.packets(me).filter(|known| known.message.origin == packet.message.origin).count();
        // Only the packet that continues its origin's stream, and only in the order of the claims.
        if usize::from(packet.offset) == position
            && packet.claim() > self.last_claim(me)
            && packet.claims <= token.seq + 1
        {
            self.number(me, &mut token, packet);
            self.daemons[me].holds = Some(token);
        }
    }

    /// A packet with a number arrives, in time or when the ring has broken.
    pub(super) fn receive(&mut self, me: usize, seq: u8) {
        let packet = self.ring_of(me).numbered[usize::from(seq) - 1];
        let daemon = &mut self.daemons[me];
        if daemon.is_apart() {
            // Others may have delivered what they had when its packet was promised. It delivers just the same.
            return;
        }
        if usize::from(packet.message.origin) == me {
            // What it numbered itself is here.
            self.contradiction |= daemon.handed != Some(Handed::InDoubt(packet));
            daemon.handed = None;
        }
        daemon.has |= 1 << (seq - 1);
    }
}
