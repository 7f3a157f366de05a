//! A function as the attributes see it.

use proc_macro2::{Group, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Result, Signature, Visibility};

/// A function whose body is passed on as it is, unread.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: TokenStream,
}

impl Function {
    /// The error, and an empty function of this name, so that no second error says it is missing.
    pub(crate) fn with_error(&self, error: &Error) -> TokenStream {
        let error = error.to_compile_error();
        let Function { vis, sig, .. } = self;
        let name = &sig.ident;
        quote!(#error #[allow(dead_code)] #vis fn #name() {})
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Function> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let body: Group = input.parse()?;
        Ok(Function { attrs, vis, sig, body: body.to_token_stream() })
    }
}
