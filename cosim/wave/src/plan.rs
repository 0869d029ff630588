// SPDX-License-Identifier: Apache-2.0
//! Which variables a waveform has, and in which scopes.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};

/// Longest name that the FST format is sure to carry.
const LONGEST_NAME: usize = 400;

/// Index of a scope in its plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ScopeId(usize);

/// Index of a variable in its plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VarId(pub usize);

/// Type of a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A vector of this many bits.
    Bits(u32),
    /// A binary64 number.
    Real,
}

/// One variable.
#[derive(Debug)]
pub struct Var {
    /// Where it is.
    pub scope: ScopeId,
    /// Name in its scope, without the bit range.
    pub name: String,
    /// Its type.
    pub kind: Kind,
}

impl Var {
    /// The highest bit of the declared range. A single bit has no range, save an element of an array: without one,
    /// readers would take `valid_q[3]` for bit 3 of `valid_q`.
    #[must_use]
    pub fn highest_bit(&self) -> Option<u32> {
        match self.kind {
            Kind::Bits(width) if width > 1 || self.name.ends_with(']') => Some(width - 1),
            Kind::Bits(_) | Kind::Real => None,
        }
    }
}

#[derive(Debug)]
struct Scope {
    parent: Option<ScopeId>,
    name: String,
    scopes: Vec<ScopeId>,
    vars: Vec<VarId>,
}

/// The tree of scopes and variables.
#[derive(Debug, Default)]
pub struct Plan {
    scopes: Vec<Scope>,
    vars: Vec<Var>,
    known_scopes: HashMap<(Option<ScopeId>, String), ScopeId>,
    known_vars: HashSet<(ScopeId, String)>,
}

/// One step of the walk over a plan.
pub enum Step<'a> {
    /// A scope begins.
    Enter(&'a str),
    /// A variable of the innermost scope.
    Declare(VarId, &'a Var),
    /// The innermost scope ends.
    Leave,
}

impl Plan {
    /// The scope `name` inside `parent`, made if there is none yet.
    pub fn scope(&mut self, parent: Option<ScopeId>, name: &str) -> Result<ScopeId> {
        if let Some(&known) = self.known_scopes.get(&(parent, name.to_owned())) {
            return Ok(known);
        }
        check_name(name)?;
        let id = ScopeId(self.scopes.len());
        self.scopes.push(Scope { parent, name: name.to_owned(), scopes: vec![], vars: vec![] });
        if let Some(parent) = parent {
            self.scopes[parent.0].scopes.push(id);
        }
        self.known_scopes.insert((parent, name.to_owned()), id);
        Ok(id)
    }

    /// A new variable.
    pub fn var(&mut self, scope: ScopeId, name: String, kind: Kind) -> Result<VarId> {
        check_name(&name)?;
        if !self.known_vars.insert((scope, name.clone())) {
            let name = format!("{}.{name}", self.scope_path(scope));
            return Err(Error::Name { name, why: "there is already a signal of this name" });
        }
        let id = VarId(self.vars.len());
        self.vars.push(Var { scope, name, kind });
        self.scopes[scope.0].vars.push(id);
        Ok(id)
    }

    /// A variable by its index.
    #[must_use]
    pub fn get(&self, id: VarId) -> &Var {
        &self.vars[id.0]
    }

    /// How many variables there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.vars.len()
    }

    /// Names of the scope and of those around it, joined by dots.
    #[must_use]
    pub fn scope_path(&self, scope: ScopeId) -> String {
        let mut names = vec![];
        let mut at = Some(scope);
        while let Some(id) = at {
            names.push(self.scopes[id.0].name.as_str());
            at = self.scopes[id.0].parent;
        }
        names.reverse();
        names.join(".")
    }

    /// Visits everything in the order of the file's header: the variables of a scope before the scopes inside it.
    pub fn walk<E>(
        &self,
        visit: &mut impl FnMut(Step<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let tops = self.scopes.iter().enumerate().filter(|(_, scope)| scope.parent.is_none());
        tops.into_iter().try_for_each(|(index, _)| self.walk_scope(ScopeId(index), visit))
    }

    fn walk_scope<E>(
        &self,
        id: ScopeId,
        visit: &mut impl FnMut(Step<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let scope = &self.scopes[id.0];
        visit(Step::Enter(&scope.name))?;
        scope.vars.iter().try_for_each(|&var| visit(Step::Declare(var, self.get(var))))?;
        scope.scopes.iter().try_for_each(|&inner| self.walk_scope(inner, visit))?;
        visit(Step::Leave)
    }
}

/// An identifier with indices behind it, `stage_q[3]`, and perhaps a suffix, `stage_q[3]_model`: what both formats and
/// every viewer read the same way.
fn check_name(name: &str) -> Result<()> {
    let fail = |why| Err(Error::Name { name: name.to_owned(), why });
    if name.len() > LONGEST_NAME {
        return fail("it has more than 400 characters");
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return fail("it does not begin with a letter or an underscore");
    }
    let mut parts = name.split('[');
    let word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    let plain = parts.next().is_some_and(word);
    let indexed = parts.all(|part| {
        part.split_once(']').is_some_and(|(index, rest)| {
            !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) && word(rest)
        })
    });
    if plain && indexed { Ok(()) } else { fail("it is no identifier with numbers in brackets") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["psum_q", "stage_q[3]", "stage_q[3][12]_model", "_x", "a$b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "3a", "a b", "a[", "a]", "a[x]", "a[]", "a[1", "$end", "a\n", "[3]", &"x".repeat(401)]
        {
            assert!(matches!(check_name(bad), Err(Error::Name { .. })), "{bad}");
        }
    }

    #[test]
    fn a_name_stands_once_in_its_scope() {
        let mut plan = Plan::default();
        let top = plan.scope(None, "top").unwrap();
        let inner = plan.scope(Some(top), "inner").unwrap();
        assert_eq!(plan.scope(Some(top), "inner").unwrap(), inner);
        plan.var(top, "a".into(), Kind::Bits(1)).unwrap();
        plan.var(inner, "a".into(), Kind::Bits(1)).unwrap();
        let error = plan.var(inner, "a".into(), Kind::Real).unwrap_err().to_string();
        assert!(error.contains("top.inner.a") && error.contains("already"), "{error}");
        assert_eq!(plan.len(), 2);
    }
}
