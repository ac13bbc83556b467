//! Authentication methods: what a program registers, and the client's part of the methods when a mailbox opens.
//!
//! Registration is for the whole process and for later connects; it lives with the mailboxes in `registry`.

use std::fmt;
use std::sync::Arc;

use crate::wire::{MethodChoice, MethodList, MethodName};

/// The client's part of a method: it may talk on the socket of this number, and says whether the client is
/// authenticated.
pub type Conversation = dyn Fn(i32) -> bool + Send + Sync;

/// A registered authentication method.
#[derive(Clone)]
pub struct AuthMethod {
    name: Vec<u8>,
    conversation: Arc<Conversation>,
}

impl AuthMethod {
    /// Most methods that can be registered.
    pub const LIMIT: usize = MethodChoice::LIMIT;

    /// A method, if its name is short enough for the wire.
    pub fn new(name: &[u8], conversation: Arc<Conversation>) -> Option<AuthMethod> {
        (name.len() < MethodName::SIZE).then(|| AuthMethod { name: name.to_vec(), conversation })
    }

    /// The method that everybody passes.
    pub fn null() -> AuthMethod {
        AuthMethod { name: MethodName::NULL.as_bytes().to_vec(), conversation: Arc::new(|_| true) }
    }

    /// Runs the client's part on the socket of this number.
    pub fn converse(&self, descriptor: i32) -> bool {
        (self.conversation)(descriptor)
    }
}

impl fmt::Debug for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthMethod({})", self.name.escape_ascii())
    }
}

/// The choice that names all `methods`, if the daemon allows every one of them.
pub fn choose(methods: &[AuthMethod], allowed: &MethodList) -> Option<MethodChoice> {
    let mut choice = [None; MethodChoice::LIMIT];
    for (chosen, method) in choice.iter_mut().zip(methods) {
        *chosen = Some(MethodName::new(&method.name).filter(|name| allowed.0.contains(name))?);
    }
    Some(MethodChoice(choice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(name: &[u8]) -> AuthMethod {
        AuthMethod::new(name, Arc::new(|_| true)).unwrap()
    }

    #[test]
    fn every_registered_method_must_be_allowed() {
        let both = MethodList(vec![MethodName::NULL, MethodName::IP]);
        let one = MethodList(vec![MethodName::NULL]);
        let methods = [method(b"IP"), AuthMethod::null()];
        assert_eq!(choose(&methods, &both), Some(MethodChoice([Some(MethodName::IP), Some(MethodName::NULL), None])));
        assert_eq!(choose(&methods, &one), None);
        assert_eq!(choose(&[], &one), Some(MethodChoice([None; 3])));
        assert_eq!(choose(&[method(b"")], &one), None);
    }

    #[test]
    fn a_name_has_fewer_than_30_bytes() {
        assert!(AuthMethod::new(&[b'x'; 29], Arc::new(|_| true)).is_some());
        assert!(AuthMethod::new(&[b'x'; 30], Arc::new(|_| true)).is_none());
    }
}
