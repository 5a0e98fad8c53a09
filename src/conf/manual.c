/* tidegated.conf(5): what the schema does not say stands here as text, the rest is the schema. */
#include "conf/show.h"

#include "conf/schema.h"
#include "conf/value.h"

static const char head[] =
	".\\\" Made from the schema of the configuration by \"tidegate config show --man\".\n"
	".Dd November 23, 2026\n"
	".Dt TIDEGATED.CONF 5\n"
	".Os Tidegate\n"
	".Sh NAME\n"
	".Nm tidegated.conf\n"
	".Nd configuration of the mail relay tidegated\n"
	".Sh DESCRIPTION\n"
	"The file holds keys, and sections of keys in braces.\n"
	"Every key has a default; an empty file is a valid configuration.\n"
	".Bd -literal -offset indent\n"
	"hostname = \"relay.example.net\"\n"
	"tls {\n"
	"        certificate = \"/etc/tidegate/relay.pem\"\n"
	"        key = \"/etc/tidegate/relay.key\"\n"
	"}\n"
	"listener submission {\n"
	"        address = {\"0.0.0.0:587\", \"[::]:587\"}\n"
	"}\n"
	"route \"*\" { via = \"mx\" }\n"
	".Ed\n"
	".Pp\n"
	"Values are written as follows.\n"
	".Bl -tag -width Ds\n"
	".It text\n"
	"In double quotes, in which \\e\", \\e\\e and \\e$ stand for \", \\e and $, or in single quotes,\n"
	"in which every character stands for itself.\n"
	"Words of letters, digits and _ - . : / % @ [ ] need no quotes.\n"
	"Environment variables are not expanded.\n"
	".It number\n"
	"Decimal digits.\n"
	".It size\n"
	"Octets, or a number with K, M, G or T, which are powers of 1024:\n"
	".Qq 50M .\n"
	".It duration\n"
	"A number with ms, s, min, h or d:\n"
	".Qq 4h .\n"
	".It list\n"
	"Values in braces with commas between them:\n"
	".Li {\\(dqa\\(dq, \\(dqb\\(dq} .\n"
	".El\n"
	".Pp\n"
	"Comments go from # or // to the end of the line, or from /* to */.\n"
	".Li include(\"file\")\n"
	"puts another file in its place; a relative name is meant relative to the including file.\n"
	"A section may be given in several pieces, a key only once.\n"
	".Pp\n"
	"A file that is not valid is refused as a whole, with file, line, key, and what is allowed.\n"
	"Check it with\n"
	".Ic tidegate config check Ar file\n"
	"or\n"
	".Ic tidegated -t .\n"
	"On SIGHUP or\n"
	".Ic tidegate reload\n"
	"tidegated reads it again; if it is not valid, the old configuration stays in force.\n"
	"Connections keep the configuration with which they began.\n"
	".Sh KEYS\n";

static const char tail[] = ".Sh FILES\n"
			   ".Bl -tag -width Ds\n"
			   ".It Pa /etc/tidegate/tidegated.conf\n"
			   "The configuration that tidegated reads unless told otherwise.\n"
			   ".El\n"
			   ".Sh SEE ALSO\n"
			   ".Xr tidegate 1 ,\n"
			   ".Xr tidegated 8\n";

/* Running text: a backslash is an escape to roff, and so are a dot or a quote at the start of a line. */
static void add_text(struct buf *out, const char *text)
{
	struct slice rest = slice_str(text);

	if (rest.len > 0 && (rest.ptr[0] == '.' || rest.ptr[0] == '\''))
		buf_add_str(out, "\\&");
	for (size_t i = 0; i < rest.len; i++) {
		if (rest.ptr[i] == '\\')
			buf_add_str(out, "\\e");
		else if (rest.ptr[i] == '-')
			buf_add_str(out, "\\-");
		else if (rest.ptr[i] == ' ' && i > 0 && rest.ptr[i - 1] == '.')
			buf_add_char(out, '\n'); /* roff wants a sentence to begin a line */
		else
			buf_add_char(out, rest.ptr[i]);
	}
}

static void add_range(struct buf *out, const struct conf_field *f)
{
	if (f->type != CONF_INTEGER && f->type != CONF_SIZE && f->type != CONF_DURATION &&
	    f->type != CONF_DURATIONS)
		return;
	buf_add_str(out, ", ");
	conf_value_number(f, f->min, out);
	buf_add_str(out, " to ");
	conf_value_number(f, f->max, out);
}

static void add_choices(struct buf *out, const struct conf_field *f)
{
	for (size_t i = 0; f->choices && f->choices[i]; i++)
		buf_printf(out, "%s%s", i ? ", " : " ", f->choices[i]);
}

static void add_field(struct buf *out, const struct conf_field *f)
{
	buf_printf(out, ".It Ic %s No = Ar ", f->key);
	buf_printf(out, "\"%s\"\n", conf_type_is_list(f->type) ? "list" : "value");
	add_text(out, f->help);
	buf_add_str(out, "\n.br\nType: ");
	add_text(out, conf_type_name(f->type));
	add_choices(out, f);
	add_range(out, f);
	buf_add_str(out, ".\n");
	if (f->required)
		buf_add_str(out, "Required.\n");
	else if (*f->standard) {
		buf_add_str(out, "Default: ");
		add_text(out, f->standard);
		buf_add_str(out, ".\n");
	}
	buf_add_str(out, "Example: ");
	add_text(out, f->example);
	buf_printf(out, ".\nSince %s.\n", f->since);
}

void conf_show_manual(struct buf *out)
{
	buf_add_str(out, head);
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_section *s = &conf_schema[i];
		if (*s->name)
			buf_printf(out, ".Ss %s%s%s\n", s->name, s->title ? " " : "",
				   s->title ? s->title : "");
		else
			buf_add_str(out, ".Ss Outside of sections\n");
		add_text(out, s->help);
		buf_add_str(out, "\n");
		if (s->title)
			buf_add_str(out, "The section may stand any number of times.\n");
		buf_add_str(out, ".Bl -tag -width Ds\n");
		for (size_t k = 0; k < s->nfields; k++)
			add_field(out, &s->fields[k]);
		buf_add_str(out, ".El\n");
	}
	buf_add_str(out, tail);
}
