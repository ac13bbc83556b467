//! Reads a source file as the compiler does: whole `use` trees, paths in expressions, types and macros, and no tests.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// What the rules look at in one file.
#[derive(Debug, Default)]
pub struct Source {
    /// Every path that the file names, its parts from the crate's root on: `crate::wire::Token`, `std::thread`, `Vec::new`.
    pub paths: BTreeSet<Vec<String>>,
    /// The lines with unsafe code.
    pub unsafe_lines: Vec<usize>,
    /// Lines of code and comments outside tests.
    pub lines: usize,
    /// Each function: its name, and its lines from signature to end.
    pub functions: Vec<(String, usize)>,
    /// The modules that are declared for tests only, each in a file of its own.
    pub test_modules: Vec<String>,
}

/// Reads `text`, the source of the module with this path below the crate's root: `["ring", "window"]`.
pub fn read(module: &[&str], text: &str) -> Source {
    let file = syn::parse_file(text).expect("our own source is Rust");
    let mut reader = Reader {
        module: module.iter().map(|part| part.to_string()).collect(),
        source: Source { lines: text.lines().count(), ..Source::default() },
    };
    reader.visit_file(&file);
    reader.source
}

struct Reader {
    /// The module that is being read, from the crate's root.
    module: Vec<String>,
    source: Source,
}

impl Reader {
    /// A path with `self`, `super` and `crate` at its front resolved, so that every way to name a module looks the same.
    fn resolved(&self, mut path: Vec<String>) -> Vec<String> {
        let is_relative = |path: &[String]| path.first().is_some_and(|first| first == "self" || first == "super");
        if !is_relative(&path) {
            return path;
        }
        let mut base: Vec<String> = ["crate".to_string()].into_iter().chain(self.module.iter().cloned()).collect();
        while is_relative(&path) {
            if path.remove(0) == "super" && base.len() > 1 {
                base.pop();
            }
        }
        base.append(&mut path);
        base
    }

    fn name(&mut self, path: Vec<String>) {
        let path = self.resolved(path);
        if !path.is_empty() {
            self.source.paths.insert(path);
        }
    }

    /// Records what a `use` brings in. A crate's root under any name is as good as everything in it, since later paths begin
    /// with that name.
    fn import(&mut self, mut path: Vec<String>) {
        // `use a::{self}` names `a`.
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let mut path = self.resolved(path);
        if matches!(&path[..], [root] if root == "crate" || root == "std") {
            path.push("*".to_string());
        }
        self.name(path);
    }

    fn use_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => self.import(with(name.ident.to_string())),
            syn::UseTree::Rename(rename) => self.import(with(rename.ident.to_string())),
            syn::UseTree::Glob(_) => self.name(with("*".to_string())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(before, tree)),
        }
    }

    /// A macro's arguments are tokens, not syntax: paths and the word `unsafe` are found in them by their look. `before` is the
    /// path in front of the braces in which the tokens stand: `crate` in `crate::{wire, time}`.
    fn tokens(&mut self, before: &[String], tokens: TokenStream) {
        let mut path = before.to_vec();
        let mut colons = 2;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if ident == "as" => self.import(std::mem::take(&mut path)),
                TokenTree::Ident(ident) => {
                    if ident == "unsafe" {
                        self.unsafe_at(ident.span());
                    }
                    // Three colons are one behind a name and two before a path.
                    if colons != 2 {
                        self.name(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    let path = std::mem::take(&mut path);
                    let is_tree = colons == 2 && group.delimiter() == Delimiter::Brace;
                    self.tokens(if is_tree { &path } else { &[] }, group.stream());
                    self.name(path);
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' && colons == 2 && !path.is_empty() => {
                    path.push("*".to_string());
                    self.name(std::mem::take(&mut path));
                }
                // `crate::$module` may name any module.
                TokenTree::Punct(punct) if punct.as_char() == '$' && colons == 2 => {
                    self.import(std::mem::take(&mut path));
                }
                _ => {
                    self.name(std::mem::replace(&mut path, before.to_vec()));
                    colons = 2;
                }
            }
        }
        self.name(path);
    }

    fn unsafe_at(&mut self, span: Span) {
        self.source.unsafe_lines.push(span.start().line);
    }

    fn function(&mut self, signature: &syn::Signature, whole: Span) {
        let lines = whole.end().line - signature.span().start().line + 1;
        self.source.functions.push((signature.ident.to_string(), lines));
        if let syn::Safety::Unsafe(token) = &signature.safety {
            self.unsafe_at(token.span());
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            return visit::visit_item(self, item);
        }
        match item {
            syn::Item::Mod(module) if module.content.is_none() => {
                self.source.test_modules.push(module.ident.to_string());
            }
            _ => {}
        }
        self.source.lines -= lines_of(item.span());
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        // `extern crate self as x` is the root of ours.
        let root = if item.ident == "self" { "crate".to_string() } else { item.ident.to_string() };
        self.import(vec![root]);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        match item {
            syn::ImplItem::Fn(function) if is_for_tests(&function.attrs) => {
                self.source.lines -= lines_of(function.span());
            }
            _ => visit::visit_impl_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.name(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.tokens(&[], call.tokens.clone());
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_at(block.unsafe_token.span);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some(token) = &item.unsafety {
            self.unsafe_at(token.span());
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        if let Some(token) = &item.unsafety {
            self.unsafe_at(token.span());
        }
        visit::visit_item_foreign_mod(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        if let Some(token) = &item.unsafety {
            self.unsafe_at(token.span());
        }
        visit::visit_item_trait(self, item);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, function.span());
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, function.span());
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        self.function(&function.sig, function.span());
        visit::visit_trait_item_fn(self, function);
    }
}

fn lines_of(span: Span) -> usize {
    span.end().line - span.start().line + 1
}

/// Whether an item exists in tests alone: `#[cfg(test)]`, and nothing that only mentions `test`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
