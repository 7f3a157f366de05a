//! What encodes the arguments of a job, and what decodes them in a worker.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, Error, Pat, Result, ReturnType, Type, TypeReference};

use crate::args::span_of;
use crate::job;

const NAMED_LIFETIME: &str = "an argument of a job can not name its lifetime: leave it out, the worker lends it for the call";

/// A job's signature, and where its parts are.
pub(crate) struct Call {
    pub(crate) arguments: Vec<Argument>,
    pub(crate) output: Type,
    pub(crate) emits: Option<Type>,
    /// The expression for the job's name.
    pub(crate) name: TokenStream,
    /// What a worker calls.
    pub(crate) function: TokenStream,
    /// Where `tenter` is found.
    pub(crate) krate: TokenStream,
}

impl Call {
    /// The parameters of the function that makes a call.
    pub(crate) fn parameters(&self) -> TokenStream {
        let parameters = self.arguments.iter().map(|Argument { name, ty, .. }| quote!(#name: #ty));
        quote!(#(#parameters),*)
    }

    /// The types of those parameters.
    pub(crate) fn types(&self) -> TokenStream {
        let types = self.arguments.iter().map(|argument| &argument.ty);
        quote!(#(#types),*)
    }

    /// The type of a call.
    pub(crate) fn returned(&self) -> TokenStream {
        let Call { krate, output, emits, .. } = self;
        let emits = emits.as_ref().map(|emits| quote!(, #emits));
        quote!(#krate::jobs::Call<#output #emits>)
    }

    /// The body of the function that makes a call: it encodes the parameters. The job's entry is
    /// in it, where neither can be used without the other.
    pub(crate) fn body(&self) -> TokenStream {
        let Call { krate, name, .. } = self;
        let private = quote!(#krate::jobs::__private);
        let run = self.run(&private);
        let signature = self.signature();
        let emits = self.emits(&private);
        let place = job::place();
        // Of this expansion only: the parameters have the names that the user gave them.
        let encoder = Ident::new("encoder", Span::mixed_site());
        let encode = self.arguments.iter().map(|argument| argument.encode(&private, &encoder));
        quote! {
            #run

            #[#private::linkme::distributed_slice(#private::TENTER_JOBS_V1)]
            #[linkme(crate = #private::linkme)]
            static __TENTER_ENTRY: #private::Entry = #private::Entry {
                name: #name,
                package: [
                    ::core::option_env!("CARGO_PKG_NAME"),
                    ::core::option_env!("CARGO_PKG_VERSION"),
                ],
                signature: #signature,
                place: #place,
                emits: #emits,
                run: __tenter_run,
            };

            #[allow(unused_mut)]
            let mut #encoder = #private::Encoder::new();
            #(#encode)*
            #krate::jobs::Call::__new(&__TENTER_ENTRY, #encoder)
        }
    }

    /// The function that a worker calls: it decodes the arguments, calls, and encodes the result.
    fn run(&self, private: &TokenStream) -> TokenStream {
        let Call { arguments, output, function, .. } = self;
        let decoder = Ident::new("decoder", Span::mixed_site());
        let result = Ident::new("result", Span::mixed_site());
        let held: Vec<Ident> = (0..arguments.len())
            .map(|index| format_ident!("argument_{index}", span = Span::mixed_site()))
            .collect();
        let decode = arguments.iter().map(|argument| argument.decode(private));
        let pass = arguments.iter().zip(&held).map(|(argument, held)| argument.pass(held));
        let span = span_of(output);
        let encode = quote_spanned!(span=> <#output as #private::Output>::encode);
        quote! {
            #[allow(clippy::unit_arg, clippy::let_unit_value)]
            fn __tenter_run(
                body: #private::Body,
            ) -> ::core::result::Result<#private::Body, #private::RunError> {
                #[allow(unused_mut)]
                let mut #decoder = #private::Decoder::new(body);
                #(let #held = #decode(&mut #decoder)?;)*
                #decoder.finish()?;
                let #result = #function(#(#pass),*);
                #encode(#result)
            }
        }
    }

    /// The types, as text: what two builds of one program agree on.
    fn signature(&self) -> String {
        let Call { output, emits, .. } = self;
        let types = self.types();
        let emits = emits.as_ref().map(|emits| quote!(emits #emits));
        quote!((#types) -> #output #emits).to_string()
    }

    fn emits(&self, private: &TokenStream) -> TokenStream {
        let Some(emits) = &self.emits else {
            return quote!(::core::option::Option::None);
        };
        let name = quote_spanned!(span_of(emits)=> <#emits as #private::Item>::type_name);
        quote!(::core::option::Option::Some(#name))
    }
}

/// One argument of a job.
pub(crate) struct Argument {
    /// What the parameter is called by those who make a call.
    name: Ident,
    /// The type as it is written.
    ty: Type,
    /// The type behind the reference, if it is one.
    shared: Option<Type>,
}

impl Argument {
    /// Accepts an owned value, or a shared reference.
    pub(crate) fn new(
        index: usize,
        attrs: &[Attribute],
        pattern: &Pat,
        ty: &Type,
    ) -> Result<Argument> {
        let is_cfg =
            |attr: &&Attribute| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr");
        if let Some(attr) = attrs.iter().find(is_cfg) {
            let message = "an argument of a job is there or not: write one function for each `cfg`";
            return Err(Error::new(attr.pound_token.span, message));
        }
        let ty = ungrouped(ty);
        let shared = match ty {
            Type::Reference(TypeReference { mutability: Some(token), .. }) => {
                let message = "a job can not take `&mut`: it gets a copy in another process; \
                               return the changed value";
                return Err(Error::new(token.span, message));
            }
            Type::Reference(TypeReference { lifetime: Some(lifetime), .. }) => {
                return Err(Error::new(span_of(lifetime), NAMED_LIFETIME));
            }
            Type::Reference(TypeReference { elem, .. }) => Some(ungrouped(elem).clone()),
            _ => None,
        };
        refuse_borrows_and_impl(shared.as_ref().unwrap_or(ty), "an argument of a job")?;
        let name = match pattern {
            Pat::Ident(pattern) => pattern.ident.clone(),
            _ => format_ident!("argument_{index}"),
        };
        Ok(Argument { name, ty: ty.clone(), shared })
    }

    /// The trait by which it travels, at the place of the type: there the error stands if the type
    /// does not have it.
    fn travels(&self, private: &TokenStream) -> TokenStream {
        match &self.shared {
            Some(ty) => quote_spanned!(span_of(ty)=> <#ty as #private::SharedArgument>),
            None => {
                let ty = &self.ty;
                quote_spanned!(span_of(ty)=> <#ty as #private::Argument>)
            }
        }
    }

    fn encode(&self, private: &TokenStream, encoder: &Ident) -> TokenStream {
        let (travels, name) = (self.travels(private), &self.name);
        quote!(#travels::encode(#name, &mut #encoder);)
    }

    fn decode(&self, private: &TokenStream) -> TokenStream {
        let travels = self.travels(private);
        quote!(#travels::decode)
    }

    fn pass(&self, held: &Ident) -> TokenStream {
        match &self.shared {
            Some(_) => quote!(#held.lend()),
            None => held.to_token_stream(),
        }
    }
}

/// The type of the result, which `what` returns.
pub(crate) fn output_of(what: &str, output: &ReturnType) -> Result<Type> {
    let ReturnType::Type(_, ty) = output else {
        return Ok(syn::parse_quote!(()));
    };
    let refuse = |span: Span, message: &str| Err(Error::new(span, format!("{what} {message}")));
    match ungrouped(ty) {
        Type::Reference(reference) => {
            let message = "can not return a reference: nothing outlives the job in the worker; \
                           return an owned value";
            refuse(reference.and_token.span, message)
        }
        Type::Never(never) => {
            refuse(never.bang_token.span, "must be able to return: write `()` for `!`")
        }
        ty => {
            refuse_borrows_and_impl(ty, "a result of a job")?;
            Ok(ty.clone())
        }
    }
}

/// Refuses types that the worker could not decode from bytes, or not name.
fn refuse_borrows_and_impl(ty: &Type, what: &str) -> Result<()> {
    for token in flat_tokens(ty.to_token_stream()) {
        let message = match token.to_string().as_str() {
            "&" | "'" => format!("{what} can not borrow inside its type: use an owned type"),
            "impl" => format!("{what} can not be `impl Trait`: the worker must know the type"),
            _ => continue,
        };
        return Err(Error::new(token.span(), message));
    }
    Ok(())
}

/// All tokens but delimiters, in the order in which they stand.
fn flat_tokens(tokens: TokenStream) -> Vec<TokenTree> {
    let flatten = |token| match token {
        TokenTree::Group(group) => flat_tokens(group.stream()),
        token => vec![token],
    };
    tokens.into_iter().flat_map(flatten).collect()
}

/// The type itself, without the parentheses, which may be invisible, around it.
fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        ty => ty,
    }
}
