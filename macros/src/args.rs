//! The options in the parentheses of an attribute.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, ExprLit, ExprPath, Lit, LitStr, Path, Result, Token};

/// The names of every option, in the order in which messages list them.
const NAMES: &str =
    "`worker_threads`, `max_blocking_threads`, `thread_stack_size`, `thread_name`, `crate`";

/// What the attribute says about the runtime that it starts.
#[derive(Default)]
pub(crate) struct Args {
    /// The calls on the builder, each with the name of its option.
    calls: Vec<(Ident, TokenStream)>,
    krate: Option<Path>,
}

impl Args {
    /// Returns the path at which the expansion finds `tenter`.
    pub(crate) fn krate(&self) -> TokenStream {
        match &self.krate {
            Some(path) => path.to_token_stream(),
            None => quote!(::tenter),
        }
    }

    /// Returns the method calls that bring the options to a `Builder`.
    ///
    /// `workers` is the number of workers where the attribute gives none; without it the builder's
    /// own default holds.
    pub(crate) fn builder_calls(&self, workers: Option<usize>) -> TokenStream {
        let workers = workers.filter(|_| !self.has("worker_threads"));
        let workers = workers.map(|count| quote!(.worker_threads(#count)));
        let calls = self.calls.iter().map(|(name, value)| quote!(.#name(#value)));
        quote!(#workers #(#calls)*)
    }

    fn has(&self, name: &str) -> bool {
        self.calls.iter().any(|(known, _)| known == name)
            || (name == "crate" && self.krate.is_some())
    }

    fn parse_option(&mut self, input: ParseStream<'_>) -> Result<()> {
        let name = input.call(Ident::parse_any)?;
        let text = name.to_string();
        if self.has(&text) {
            return Err(Error::new(name.span(), format!("`{text}` is given twice")));
        }
        match text.as_str() {
            "worker_threads" | "max_blocking_threads" | "thread_stack_size" => {
                let value = value_of(&name, input)?;
                self.calls.push((name.clone(), count(&name, value)?));
            }
            "thread_name" => {
                let value = value_of(&name, input)?;
                self.calls.push((name, thread_name(value)?));
            }
            "crate" => self.krate = Some(krate(&name, input)?),
            _ => {
                let message = format!("unknown option `{text}`; the options are {NAMES}");
                return Err(Error::new(name.span(), message));
            }
        }
        Ok(())
    }
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Args> {
        let mut args = Args::default();
        while !input.is_empty() {
            if !input.peek(Ident::peek_any) {
                let message = format!(
                    "expected an option such as `worker_threads = 4`; the options are {NAMES}"
                );
                return Err(Error::new(input.span(), message));
            }
            args.parse_option(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}

pub(crate) fn equals(name: &Ident, input: ParseStream<'_>) -> Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        let message = format!("`{name}` needs a value: `{name} = ..`");
        return Err(Error::new(name.span(), message));
    }
    input.parse::<Token![=]>()?;
    Ok(())
}

fn value_of(name: &Ident, input: ParseStream<'_>) -> Result<Expr> {
    equals(name, input)?;
    input.parse()
}

/// Accepts an integer of at least one, or a path to a constant, which the builder checks.
fn count(name: &Ident, value: Expr) -> Result<TokenStream> {
    let wrong = |span: Span| {
        let message = format!("`{name}` takes an integer of at least 1, or a constant");
        Err(Error::new(span, message))
    };
    match &value {
        Expr::Path(ExprPath { .. }) => Ok(value.to_token_stream()),
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) if matches!(int.suffix(), "" | "usize") => {
            match int.base10_parse::<usize>() {
                Ok(0) => wrong(int.span()),
                Ok(_) => Ok(value.to_token_stream()),
                Err(error) => Err(Error::new(int.span(), format!("`{name}`: {error}"))),
            }
        }
        other => wrong(span_of(other)),
    }
}

/// Accepts a string, or a path to a constant.
fn thread_name(value: Expr) -> Result<TokenStream> {
    let message = match &value {
        Expr::Path(_) => return Ok(value.to_token_stream()),
        Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) if name.value().contains('\0') => {
            "`thread_name` can not hold a NUL"
        }
        Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => return Ok(value.to_token_stream()),
        _ => "`thread_name` takes a string, or a constant",
    };
    Err(Error::new(span_of(&value), message))
}

/// Accepts a path, bare or in a string.
pub(crate) fn krate(name: &Ident, input: ParseStream<'_>) -> Result<Path> {
    equals(name, input)?;
    if input.peek(LitStr) {
        return input.parse::<LitStr>()?.parse_with(Path::parse_mod_style);
    }
    if !input.peek(Token![::]) && !input.peek(Ident::peek_any) {
        return Err(input.error("`crate` takes a path, such as `crate = ::tenter`"));
    }
    Path::parse_mod_style(input)
}

/// Returns the place of the first token, which stable Rust can point at.
pub(crate) fn span_of(tokens: &impl ToTokens) -> Span {
    let mut tokens = tokens.to_token_stream().into_iter();
    tokens.next().map_or_else(Span::call_site, |token| token.span())
}
