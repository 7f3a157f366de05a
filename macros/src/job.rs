//! The functions under `#[tenter::job]` and `#[tenter::job_init]`, and those in `job!`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, ExprClosure, FnArg, Path, Result, ReturnType, Signature, Token, Type};

use crate::args::{self, span_of};
use crate::call::{Argument, Call, output_of};
use crate::function::Function;

/// Expands `#[tenter::job]`: the function as it is, and a type of its name that makes calls of it.
pub(crate) fn expand_job(args: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = parse_function("#[tenter::job]", &item).and_then(|function| {
        let options = syn::parse2::<Options>(args)?;
        refuse_what_no_worker_can_call("#[tenter::job]", &function)?;
        job(options, &function)
    });
    beside(&item, expanded)
}

/// Expands `#[tenter::job_init]`: the function as it is, and an entry in the list of them.
pub(crate) fn expand_init(args: TokenStream, item: TokenStream) -> TokenStream {
    let attribute = "#[tenter::job_init]";
    let expanded = parse_function(attribute, &item).and_then(|function| {
        let options = syn::parse2::<Options>(args)?;
        refuse_what_no_worker_can_call(attribute, &function)?;
        init(attribute, &options, &function)
    });
    beside(&item, expanded)
}

/// Expands what stands in `job!`, behind the path of the crate.
pub(crate) fn expand_closure(input: TokenStream) -> TokenStream {
    let expanded = syn::parse2::<Closure>(input).and_then(|closure| closure.expand());
    expanded.unwrap_or_else(|error| error.into_compile_error())
}

/// The item, which stays as it is, and what comes with it.
fn beside(item: &TokenStream, expanded: Result<TokenStream>) -> TokenStream {
    let expanded = expanded.unwrap_or_else(|error| error.into_compile_error());
    quote!(#item #expanded)
}

fn parse_function(attribute: &str, item: &TokenStream) -> Result<Function> {
    syn::parse2(item.clone()).map_err(|error| {
        let has_fn = item.clone().into_iter().any(|token| token.to_string() == "fn");
        if has_fn {
            return error;
        }
        Error::new(span_of(item), format!("`{attribute}` goes on a function"))
    })
}

/// Refuses what a worker, which knows the function by name only, could not call.
fn refuse_what_no_worker_can_call(attribute: &str, function: &Function) -> Result<()> {
    let sig = &function.sig;
    let refuse = |span: Span, message: &str| {
        Err(Error::new(span, format!("the function under `{attribute}` {message}")))
    };
    if let Some(token) = &sig.asyncness {
        let message = "can not be `async`: a worker runs one function at a time, to its end";
        return refuse(token.span, message);
    }
    if let Some(token) = &sig.unsafety {
        return refuse(
            token.span,
            "can not be `unsafe`: nobody vouches for what it is called with",
        );
    }
    if let Some(abi) = &sig.abi {
        return refuse(abi.extern_token.span, "can not be `extern`");
    }
    if let Some(variadic) = &sig.variadic {
        return refuse(span_of(variadic), "can not be variadic");
    }
    if let Some(lifetime) = sig.generics.lifetimes().next() {
        let message = "can not name lifetimes: leave them out, the worker lends each argument";
        return refuse(span_of(lifetime), message);
    }
    if let Some(parameter) = sig.generics.params.first() {
        let message = "can not be generic: a worker must know which function its name stands for";
        return refuse(span_of(parameter), message);
    }
    if let Some(clause) = &sig.generics.where_clause {
        return refuse(clause.where_token.span, "can not have a `where` clause");
    }
    let feature = function.attrs.iter().find(|attr| attr.path().is_ident("target_feature"));
    if let Some(feature) = feature {
        let message = "can not have `#[target_feature]`: call such a function from it, \
                       where the processor has the feature";
        return refuse(feature.pound_token.span, message);
    }
    Ok(())
}

fn job(options: Options, function: &Function) -> Result<TokenStream> {
    let Function { vis, sig, .. } = function;
    let krate = options.krate();
    let name = &sig.ident;
    let text = name.unraw().to_string();
    let call = Call {
        arguments: arguments_of(sig)?,
        output: output_of("the function under `#[tenter::job]`", &sig.output)?,
        emits: options.emits,
        name: quote!(::core::concat!(::core::module_path!(), "::", #text)),
        function: name.to_token_stream(),
        krate,
    };
    let parameters = call.parameters();
    let returned = call.returned();
    let body = call.body();
    let type_doc = format!("Makes calls of the job `{text}`.");
    let method_doc = format!("A call of `{text}`, for a process pool to run.");
    Ok(quote! {
        #[doc = #type_doc]
        #[allow(non_camel_case_types, dead_code, missing_debug_implementations, clippy::all)]
        #[allow(clippy::pedantic, clippy::nursery)]
        #vis enum #name {}

        #[automatically_derived]
        #[allow(dead_code, deprecated, non_snake_case, clippy::all)]
        #[allow(clippy::pedantic, clippy::nursery)]
        impl #name {
            #[doc = #method_doc]
            #vis fn job(#parameters) -> #returned {
                #body
            }
        }
    })
}

fn arguments_of(sig: &Signature) -> Result<Vec<Argument>> {
    let arguments = sig.inputs.iter().enumerate().map(|(index, argument)| match argument {
        FnArg::Receiver(receiver) => Err(Error::new(
            span_of(receiver),
            "the function under `#[tenter::job]` can not take `self`: make it a free function \
             that takes the value as an argument",
        )),
        FnArg::Typed(typed) => Argument::new(index, &typed.attrs, &typed.pat, &typed.ty),
    });
    arguments.collect()
}

fn init(attribute: &str, options: &Options, function: &Function) -> Result<TokenStream> {
    let sig = &function.sig;
    let refuse = |span: Span, message: &str| {
        Err(Error::new(span, format!("the function under `{attribute}` {message}")))
    };
    if let Some(emits) = &options.emits {
        return refuse(span_of(emits), "emits nothing: nobody waits for it");
    }
    if let Some(argument) = sig.inputs.first() {
        return refuse(span_of(argument), "can not take arguments: nobody passes them");
    }
    if let ReturnType::Type(arrow, _) = &sig.output {
        let message = "can not return anything: it panics if the worker can not be used";
        return refuse(arrow.spans[0], message);
    }
    let krate = options.krate();
    let private = quote!(#krate::jobs::__private);
    let name = &sig.ident;
    let text = name.unraw().to_string();
    let place = place();
    Ok(quote! {
        const _: () = {
            #[#private::linkme::distributed_slice(#private::TENTER_JOB_INITS_V1)]
            #[linkme(crate = #private::linkme)]
            #[allow(deprecated)]
            static INIT: #private::Init = #private::Init {
                name: ::core::concat!(::core::module_path!(), "::", #text),
                place: #place,
                run: #name,
            };
        };
    })
}

/// The expression for the place of the attribute or of the `job!`.
pub(crate) fn place() -> TokenStream {
    quote!(::core::concat!(::core::file!(), ":", ::core::line!(), ":", ::core::column!()))
}

/// What stands in the parentheses of the attribute.
#[derive(Default)]
struct Options {
    emits: Option<Type>,
    krate: Option<Path>,
}

impl Options {
    fn krate(&self) -> TokenStream {
        self.krate.as_ref().map_or_else(|| quote!(::tenter), ToTokens::to_token_stream)
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Options> {
        let mut options = Options::default();
        while !input.is_empty() {
            if !input.peek(Ident::peek_any) {
                return Err(input.error("expected an option; the options are `emits`, `crate`"));
            }
            let name = input.call(Ident::parse_any)?;
            let twice = match name.to_string().as_str() {
                "emits" => {
                    args::equals(&name, input)?;
                    options.emits.replace(input.parse()?).is_some()
                }
                "crate" => options.krate.replace(args::krate(&name, input)?).is_some(),
                text => {
                    let message =
                        format!("unknown option `{text}`; the options are `emits`, `crate`");
                    return Err(Error::new(name.span(), message));
                }
            };
            if twice {
                return Err(Error::new(name.span(), format!("`{name}` is given twice")));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// The path of the crate, and what looks like a closure.
struct Closure {
    krate: Path,
    closure: ExprClosure,
}

impl Parse for Closure {
    fn parse(input: ParseStream<'_>) -> Result<Closure> {
        let krate = Path::parse_mod_style(input)?;
        input.parse::<Token![,]>()?;
        let closure = input.parse().map_err(|error| {
            let message = "expected a function such as `|n: u64| -> u64 { n * 2 }`";
            Error::new(error.span(), format!("{message}: {error}"))
        })?;
        Ok(Closure { krate, closure })
    }
}

impl Closure {
    fn expand(&self) -> Result<TokenStream> {
        let ExprClosure { attrs, inputs, output, body, .. } = &self.closure;
        self.refuse_what_is_no_function()?;
        let arguments = inputs.iter().enumerate().map(|(index, argument)| match argument {
            syn::Pat::Type(typed) => Argument::new(index, &typed.attrs, &typed.pat, &typed.ty),
            other => Err(Error::new(
                span_of(other),
                "an argument in `job!` needs its type, such as `n: u64`: a worker decodes it",
            )),
        });
        let call = Call {
            arguments: arguments.collect::<Result<_>>()?,
            output: output_of("the function in `job!`", output)?,
            emits: None,
            name: quote! {
                ::core::concat!(
                    ::core::module_path!(), "::job!(", ::core::line!(), ":", ::core::column!(), ")"
                )
            },
            function: quote!(__tenter_function),
            krate: self.krate.to_token_stream(),
        };
        let body = match &**body {
            Expr::Block(block) if block.attrs.is_empty() && block.label.is_none() => {
                block.to_token_stream()
            }
            body => quote!({ #body }),
        };
        let (types, parameters) = (call.types(), call.parameters());
        let (returned, call_body) = (call.returned(), call.body());
        Ok(quote! {{
            #[allow(clippy::all, clippy::pedantic, clippy::nursery)]
            #(#attrs)*
            fn __tenter_function(#inputs) #output #body

            #[allow(non_snake_case, clippy::all, clippy::pedantic, clippy::nursery)]
            fn __tenter_job(#parameters) -> #returned {
                #call_body
            }

            __tenter_job as fn(#types) -> #returned
        }})
    }

    fn refuse_what_is_no_function(&self) -> Result<()> {
        let ExprClosure { lifetimes, constness, movability, asyncness, capture, .. } =
            &self.closure;
        let refuse = |span: Span, message: &str| Err(Error::new(span, message));
        if let Some(token) = asyncness {
            let message = "a function in `job!` can not be `async`: a worker runs one function at \
                           a time, to its end";
            return refuse(token.span, message);
        }
        if let Some(token) = capture {
            let message = "a function in `job!` captures nothing: remove `move`, and pass what it \
                           needs as arguments";
            return refuse(token.span, message);
        }
        if let Some(span) = lifetimes.as_ref().map(span_of) {
            return refuse(span, "a function in `job!` can not name lifetimes: leave them out");
        }
        if let Some(token) = constness.as_ref().map(span_of).or(movability.as_ref().map(span_of)) {
            return refuse(token, "a function in `job!` can not be `const` or `static`");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Expand = fn(TokenStream, TokenStream) -> TokenStream;

    /// Expands `item` under an attribute with `args`, both as source text, without spaces.
    fn expanded(expand: Expand, args: &str, item: &str) -> String {
        let args = args.parse().expect("the arguments are Rust tokens");
        let item = item.parse().expect("the item is Rust tokens");
        expand(args, item).to_string().replace(' ', "")
    }

    fn expanded_closure(closure: &str) -> String {
        let input = format!("::tenter, {closure}").parse().expect("it is Rust tokens");
        expand_closure(input).to_string().replace(' ', "")
    }

    #[track_caller]
    fn assert_has(code: &str, wanted: &str) {
        let wanted = wanted.replace(' ', "");
        assert!(code.contains(&wanted), "no `{wanted}` in {code}");
    }

    #[track_caller]
    fn assert_refused(expand: Expand, args: &str, item: &str, message: &str) {
        let code = expanded(expand, args, item);
        assert_has(&code, "compile_error");
        assert_has(&code, message);
        assert_has(&code, item);
        assert!(!code.contains("__private"), "registers it all the same: {code}");
    }

    #[test]
    fn the_function_stays_as_it_is() {
        let item =
            "/// Does.\n #[must_use] pub(crate) fn a(mut n: u8, _: &str) -> u8 { n += 1; n }";
        let tokens = item.parse::<TokenStream>().unwrap().to_string().replace(' ', "");
        for expand in [expand_job, expand_init] {
            let code = expanded(expand, "", item);
            assert!(code.starts_with(&tokens), "{code}");
        }
    }

    #[test]
    fn calls_are_made_where_the_function_is_seen() {
        let code = expanded(expand_job, "", "pub(super) fn a(n: u8) -> Vec<u8> {}");
        assert_has(&code, "pub(super) enum a {}");
        assert_has(&code, "pub(super) fn job(n: u8) -> ::tenter::jobs::Call<Vec<u8> >");
        let code = expanded(expand_job, "", "fn a() {}");
        assert_has(&code, "fn job() -> ::tenter::jobs::Call<()>");
    }

    #[test]
    fn a_call_takes_what_the_function_takes_under_names_that_can_be_passed() {
        let item = "fn a(mut n: u8, _: &str, (b, c): (u8, u8), &d: &u8) {}";
        let code = expanded(expand_job, "", item);
        let parameters = "n: u8, argument_1: &str, argument_2: (u8, u8), argument_3: &u8";
        assert_has(&code, &format!("fn job({parameters})"));
        assert_has(&code, "a(argument_0, argument_1.lend(), argument_2, argument_3.lend())");
    }

    #[test]
    fn options_say_what_is_emitted_and_where_the_crate_is() {
        let code = expanded(expand_job, "emits = Vec<u8>, crate = a::b,", "fn c() -> u8 {}");
        assert_has(&code, "-> a::b::jobs::Call<u8, Vec<u8> >");
        assert_has(&code, "Some(<Vec<u8> as a::b::jobs::__private::Item>::type_name)");
        assert!(!code.contains("tenter::"), "{code}");
        let code = expanded(expand_init, "crate = \"a::b\"", "fn c() {}");
        assert_has(&code, "a::b::jobs::__private::Init");
        assert!(!code.contains("tenter::"), "{code}");
    }

    #[test]
    fn a_raw_name_is_registered_without_its_mark() {
        let code = expanded(expand_job, "", "fn r#match() {}");
        assert_has(&code, "enum r#match {}");
        assert_has(&code, "::core::module_path!(), \"::\", \"match\"");
        assert_has(&code, "r#match()");
    }

    #[test]
    fn what_no_worker_can_call_is_refused() {
        for expand in [expand_job, expand_init] {
            assert_refused(expand, "", "async fn a() {}", "can not be `async`");
            assert_refused(expand, "", "unsafe fn a() {}", "can not be `unsafe`");
            assert_refused(expand, "", "extern \"C\" fn a() {}", "can not be `extern`");
            assert_refused(expand, "", "fn a<T>() {}", "can not be generic");
            assert_refused(expand, "", "fn a<const N: u8>() {}", "can not be generic");
            assert_refused(expand, "", "fn a<'a>() {}", "can not name lifetimes");
            assert_refused(expand, "", "fn a() where u8: Copy {}", "a `where` clause");
            assert_refused(expand, "", "#[target_feature()] fn a() {}", "can not have `#[target");
            assert_refused(expand, "", "struct A;", "goes on a function");
            assert_refused(expand, "", "fn a();", "expected");
        }
        assert_refused(expand_job, "", "fn a(&self) {}", "can not take `self`");
        assert_refused(expand_init, "", "fn a(n: u8) {}", "can not take arguments");
        assert_refused(expand_init, "", "fn a() -> u8 {}", "can not return anything");
        assert_refused(expand_init, "emits = u8", "fn a() {}", "emits nothing");
    }

    #[test]
    fn types_that_can_not_be_sent_whatever_they_are_called_are_refused() {
        for (ty, message) in [
            ("&mut u8", "can not take `&mut`"),
            ("&'static str", "can not name its lifetime"),
            ("Option<&str>", "can not borrow inside its type"),
            ("&&str", "can not borrow inside its type"),
            ("Cow<'_, str>", "can not borrow inside its type"),
            ("impl Copy", "can not be `impl Trait`"),
            ("&impl Copy", "can not be `impl Trait`"),
            ("Vec<impl Copy>", "can not be `impl Trait`"),
        ] {
            assert_refused(expand_job, "", &format!("fn a(b: {ty}) {{}}"), message);
            let code = expanded_closure(&format!("|b: {ty}| b"));
            assert_has(&code, message);
        }
        for (ty, message) in [
            ("&str", "can not return a reference"),
            ("Option<&str>", "can not borrow inside its type"),
            ("impl Copy", "can not be `impl Trait`"),
            ("!", "must be able to return"),
        ] {
            assert_refused(expand_job, "", &format!("fn a() -> {ty} {{}}"), message);
            assert_has(&expanded_closure(&format!("|| -> {ty} {{}}")), message);
        }
    }

    #[test]
    fn options_that_do_not_exist_or_have_no_value_are_refused() {
        let item = "fn a() {}";
        for expand in [expand_job, expand_init] {
            assert_refused(expand, "name = 1", item, "unknown option `name`");
            assert_refused(expand, "emits", item, "needs a value");
            assert_refused(expand, "emits = ", item, "expected");
            assert_refused(expand, "emits = u8, emits = u8", item, "given twice");
            assert_refused(expand, "crate = a, crate = b", item, "given twice");
            assert_refused(expand, "crate = a emits = b", item, "expected `,`");
            assert_refused(expand, "4", item, "expected an option");
        }
    }

    #[test]
    fn a_function_in_job_becomes_an_item_of_its_own() {
        let code = expanded_closure("|n: u64, _: &str| -> u64 { n * 2 }");
        assert_has(&code, "fn __tenter_function(n: u64, _: &str) -> u64 { n * 2 }");
        assert_has(&code, "__tenter_job as fn(u64, &str) -> ::tenter::jobs::Call<u64>");
        let code = expanded_closure("|n: u64| drop(n)");
        assert_has(&code, "fn __tenter_function(n: u64) { drop(n) }");
    }

    #[test]
    fn what_is_no_function_in_job_is_refused() {
        for (closure, message) in [
            ("|n| n", "needs its type"),
            ("move || 1", "captures nothing"),
            ("async || 1", "can not be `async`"),
            ("for<'a> |n: u8| -> u8 { n }", "can not name lifetimes"),
            ("static || 1", "can not be `const` or `static`"),
            ("f", "expected a function such as"),
            ("", "expected a function such as"),
        ] {
            let code = expanded_closure(closure);
            assert_has(&code, "compile_error");
            assert_has(&code, message);
            assert!(!code.contains("__private"), "registers it all the same: {code}");
        }
    }
}
