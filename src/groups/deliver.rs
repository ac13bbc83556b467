//! Which sessions of this daemon receive a message.
//!
//! All receivers share the frame. For a message to one group the view has a list of its receivers ready.

use std::sync::Arc;

use tracing::debug;

use super::views::Views;
use super::{GroupsEvent, SessionId};
use crate::wire::{DaemonId, DecodeError, FrameHeader, FrameType, MAX_GROUPS, Name, Payload, Reader, Slice};

impl Views {
    /// A message of a client of the daemon `origin`.
    pub fn on_data(&mut self, origin: DaemonId, frame: Payload) {
        match self.receivers(origin, &frame) {
            Ok(to) if to.is_empty() => {}
            Ok(to) => self.events.push_back(GroupsEvent::Deliver { to, frame }),
            Err(error) => {
                debug!(%error, "not a data frame");
                self.dropped.malformed += 1;
            }
        }
    }

    fn receivers(&mut self, origin: DaemonId, frame: &Payload) -> Result<Arc<[SessionId]>, DecodeError> {
        let (header, names) = split(frame)?;
        // Without keys anybody can forge a sender. A daemon may only speak for its own clients.
        if !self.names.belongs(&header.name, origin) {
            debug!(%origin, sender = %header.name, "a message of another daemon's client");
            self.dropped.false_senders += 1;
            return Ok(Arc::default());
        }
        let (names, _) = names.as_chunks();
        let to = self.addressed(names);
        if !header.kind.contains(FrameType::SELF_DISCARD) {
            return Ok(to);
        }
        match self.sessions.id(&header.name) {
            Some(sender) if to.contains(&sender) => Ok(to.iter().copied().filter(|&id| id != sender).collect()),
            _ => Ok(to),
        }
    }

    fn addressed(&mut self, names: &[[u8; Name::SIZE]]) -> Arc<[SessionId]> {
        if let [name] = names {
            return self.destination(&Name::from_field(name));
        }
        let all = names.iter().flat_map(|name| self.destination(&Name::from_field(name)).to_vec());
        let mut all: Vec<SessionId> = all.collect();
        // A client in several of the groups receives the message once.
        all.sort_unstable();
        all.dedup();
        all.into()
    }

    /// The sessions here behind one name: a private group's own, or a group's members.
    fn destination(&mut self, name: &Name) -> Arc<[SessionId]> {
        // A private group has one member, whose session is here or nowhere.
        if name.as_bytes().starts_with(b"#") {
            return self.sessions.id(name).into_iter().collect();
        }
        self.table.local(name, &self.sessions)
    }
}

/// The header and the bytes of the destinations.
fn split(frame: &Payload) -> Result<(FrameHeader, Slice), DecodeError> {
    let header = FrameHeader::decode(&Reader::new(&frame.front(FrameHeader::SIZE)).array()?);
    let groups = usize::try_from(header.groups).map_err(|_| DecodeError::BadValue("groups"))?;
    if groups > MAX_GROUPS {
        return Err(DecodeError::TooLarge("groups"));
    }
    // The origin's session has checked the frame, but the origin itself may be forged.
    let body = header.body_len().ok_or(DecodeError::BadValue("data length"))?;
    if frame.len() != FrameHeader::SIZE + body {
        return Err(DecodeError::BadValue("frame length"));
    }
    let names = frame.front(FrameHeader::SIZE + groups * Name::SIZE).tail(FrameHeader::SIZE);
    Ok((header, names))
}
