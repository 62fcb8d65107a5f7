/// A request as signatures over chosen parts of it see it: as received, nothing decoded, nothing
/// normalised. The schemes that sign headers read it (RFC 9421, AWS Signature Version 4, described
/// schemes).
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The method, in the case in which it came.
    pub method: &'a str,
    /// `https` or `http`: how the client's own connection was made.
    pub scheme: &'a str,
    /// Host and port of an absolute target, or else the `Host` header, as they were written.
    pub authority: &'a str,
    /// The path as received, without the query.
    pub path: &'a str,
    /// What follows the first question mark.
    pub query: Option<&'a str>,
    /// Every header in the order received: names in small letters, values without the blanks
    /// around them. A name may come more than once.
    pub fields: &'a [(&'a str, &'a [u8])],
}

impl<'a> Message<'a> {
    /// The values of a header, in the order received. `name`: in small letters.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter();
        fields.filter_map(move |(own, value)| (*own == name).then_some(*value))
    }
}
