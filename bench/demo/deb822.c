/* SPDX-License-Identifier: MIT
 *
 * Reads the fields of a dpkg status file or an apt Packages list that make the graph.
 *
 * A parser of its own, because no C library in Debian 12 fits: libapt-pkg is C++; libdpkg declares its interface
 * volatile and keeps one version of a package; libsolv passes over what it cannot read, where this program has
 * to say which line is wrong.
 */
#include "source.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "input.h"

/* The dependency fields come first, in the order of enum edge_kind. */
enum { PACKAGE = EDGE_KINDS, VERSION, STATUS, FIELDS };

static const char *const field_names[FIELDS] = {
	"Pre-Depends", "Depends", "Recommends", "Suggests", "Provides", "Package", "Version", "Status",
};

struct field {
	char *value; /* of the stanza being read; empty without the field */
	size_t length, room;
	unsigned long line; /* 0: the stanza does not have it */
};

struct parser {
	struct source *source;
	const char *file;
	unsigned long line;
	struct field fields[FIELDS];
	struct field *open;  /* the field that a continuation line continues; NULL: none, or one not kept */
	unsigned long begin; /* line where the stanza begins; 0: between stanzas */
	bool has_field;
	unsigned long stanzas;
};

static void append(struct parser *parser, struct field *field, const char *text, size_t length)
{
	if (field->value == NULL || field->length + length + 1 > field->room) {
		field->room = (field->length + length + 1) * 2;
		field->value = realloc(field->value, field->room);
		if (field->value == NULL)
			source_fail(parser->file, parser->line, "out of memory for a field");
	}
	memcpy(field->value + field->length, text, length);
	field->length += length;
	field->value[field->length] = '\0';
}

static const char *skip_blanks(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static size_t name_length(const char *text)
{
	size_t length = 0;
	while (isalnum((unsigned char)text[length]) ||
	       (length > 0 && strchr("+-._", text[length]) != NULL && text[length] != '\0'))
		length++;
	return length;
}

static const char *parse_relation(const char *text, enum relation *relation)
{
	static const struct {
		const char *text;
		enum relation relation;
	} relations[] = {
		{"<<", EARLIER}, {"<=", EARLIER_OR_EQUAL}, {">=", LATER_OR_EQUAL}, {">>", LATER},
		{"=", EQUAL},    {"<", EARLIER_OR_EQUAL},  {">", LATER_OR_EQUAL}, /* as dpkg still reads them */
	};
	for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++) {
		size_t length = strlen(relations[i].text);
		if (strncmp(text, relations[i].text, length) == 0) {
			*relation = relations[i].relation;
			return text + length;
		}
	}
	return NULL;
}

/* "name[:architecture] [(relation version)]"; returns what follows. */
static const char *parse_alternative(struct parser *parser, int kind, const char *text)
{
	struct source_alternative alternative = {.relation = ANY_VERSION};
	unsigned long line = parser->fields[kind].line;
	const char *field = field_names[kind];
	size_t length = name_length(text);
	if (length == 0)
		source_fail(parser->file, line, "%s: a package name is missing before \"%.20s\"", field, text);
	alternative.name = source_name(parser->source, text, length);
	text += length;
	if (*text == ':') {
		length = name_length(text + 1);
		if (length == 0)
			source_fail(parser->file, line, "%s: an architecture is missing after ':'", field);
		text += 1 + length;
	}
	text = skip_blanks(text);
	if (*text != '(')
		return source_add_alternative(parser->source, alternative), text;
	const char *version = parse_relation(skip_blanks(text + 1), &alternative.relation);
	if (version == NULL)
		source_fail(parser->file, line, "%s: no relation in \"%.20s\"", field, text);
	version = skip_blanks(version);
	length = strcspn(version, " \t\n)");
	const char *close = skip_blanks(version + length);
	if (length == 0 || *close != ')')
		source_fail(parser->file, line, "%s: no version, or no ')', in \"%.20s\"", field, text);
	alternative.version = source_text(parser->source, version, length);
	source_add_alternative(parser->source, alternative);
	return skip_blanks(close + 1);
}

/* "a | b, c"; a comma at the end is allowed, as dpkg does. */
static void parse_dependencies(struct parser *parser, int kind)
{
	struct field *field = &parser->fields[kind];
	const char *text = skip_blanks(field->value);
	while (*text != '\0') {
		struct source_dependency dependency = {.first_alternative = parser->source->alternative_count,
		                                       .kind = (uint16_t)kind};
		for (;;) {
			text = parse_alternative(parser, kind, text);
			dependency.count++;
			if (*text != '|')
				break;
			text = skip_blanks(text + 1);
		}
		source_add_dependency(parser->source, dependency);
		if (*text != ',' && *text != '\0')
			source_fail(parser->file, field->line, "%s: ',' expected before \"%.20s\"",
			            field_names[kind], text);
		text = *text == ',' ? skip_blanks(text + 1) : text;
	}
}

static bool ends_with(const struct field *field, const char *end)
{
	size_t length = strlen(end);
	return field->length >= length && strcmp(field->value + field->length - length, end) == 0;
}

/* What dpkg remembers of a package that was never there. */
static bool is_not_installed(struct parser *parser)
{
	return parser->fields[STATUS].line != 0 && ends_with(&parser->fields[STATUS], " not-installed");
}

static void check_stanza(struct parser *parser)
{
	struct field *name = &parser->fields[PACKAGE], *version = &parser->fields[VERSION];
	if (name->line == 0)
		source_fail(parser->file, parser->begin, "truncated stanza: no field Package");
	if (name->length == 0 || name_length(name->value) != name->length)
		source_fail(parser->file, name->line, "\"%.40s\" is not a package name", name->value);
	if (version->line == 0)
		source_fail(parser->file, parser->begin, "truncated stanza: package %s has no field Version",
		            name->value);
	if (version->length == 0 || strpbrk(version->value, " \t\n") != NULL)
		source_fail(parser->file, version->line, "\"%.40s\" is not a version", version->value);
}

static void end_stanza(struct parser *parser)
{
	struct source *source = parser->source;
	if (parser->begin == 0)
		return;
	if (!is_not_installed(parser) || parser->fields[VERSION].line != 0) {
		check_stanza(parser);
		struct field *name = &parser->fields[PACKAGE], *version = &parser->fields[VERSION];
		struct source_stanza stanza = {
			.name = source_name(source, name->value, name->length),
			.version = source_text(source, version->value, version->length),
			.first_dependency = source->dependency_count,
			.is_installed = parser->fields[STATUS].line != 0 &&
		                        ends_with(&parser->fields[STATUS], " installed"),
		};
		for (int kind = 0; kind < EDGE_KINDS; kind++)
			if (parser->fields[kind].line != 0)
				parse_dependencies(parser, kind);
		stanza.count = source->dependency_count - stanza.first_dependency;
		source_add_stanza(source, stanza);
		parser->stanzas++;
	}
	for (int i = 0; i < FIELDS; i++) {
		parser->fields[i].length = 0;
		parser->fields[i].line = 0;
	}
	parser->begin = 0;
	parser->has_field = false;
	parser->open = NULL;
}

static void begin_field(struct parser *parser, char *text, size_t length)
{
	char *colon = memchr(text, ':', length);
	for (char *c = text; c < (colon != NULL ? colon : text + length); c++)
		if (!isgraph((unsigned char)*c))
			source_fail(parser->file, parser->line, "neither a field nor the continuation of one");
	if (colon == NULL || colon == text || *text == '-' || *text == '#')
		source_fail(parser->file, parser->line, "neither a field nor the continuation of one");
	parser->open = NULL;
	parser->has_field = true;
	*colon = '\0';
	for (int i = 0; i < FIELDS; i++) {
		if (strcasecmp(text, field_names[i]) != 0)
			continue;
		parser->open = &parser->fields[i];
		if (parser->open->line != 0)
			source_fail(parser->file, parser->line, "a second field %s in the stanza of line %lu",
			            field_names[i], parser->begin);
		parser->open->line = parser->line;
		const char *value = skip_blanks(colon + 1);
		append(parser, parser->open, value, (size_t)(text + length - value));
		return;
	}
}

static void parse_line(struct parser *parser, char *text, size_t length)
{
	if (memchr(text, '\0', length) != NULL)
		source_fail(parser->file, parser->line, "a zero byte: not a text file");
	while (length > 0 && isspace((unsigned char)text[length - 1]))
		text[--length] = '\0';
	if (length == 0) {
		end_stanza(parser);
		return;
	}
	bool is_continuation = *text == ' ' || *text == '\t';
	if (is_continuation && !parser->has_field)
		source_fail(parser->file, parser->line, "the continuation of no field");
	if (parser->begin == 0)
		parser->begin = parser->line;
	if (!is_continuation)
		begin_field(parser, text, length);
	else if (parser->open != NULL)
		append(parser, parser->open, text, length);
}

void source_read(struct source *source, const char *file)
{
	struct parser parser = {.source = source, .file = file};
	struct input input;
	input_open(&input, file);
	char *text = NULL;
	size_t room = 0;
	ssize_t length;
	while (errno = 0, (length = getline(&text, &room, input.stream)) > 0) {
		parser.line++;
		if (text[length - 1] != '\n') {
			input_close(&input); /* a decompressor that failed is the better reason */
			source_fail(file, parser.line, "truncated stanza: the file ends inside of a line");
		}
		parse_line(&parser, text, (size_t)length);
	}
	if (ferror(input.stream))
		source_fail(file, parser.line, "cannot read: %s", strerror(errno));
	input_close(&input);
	if (parser.line == 0)
		source_fail(file, 0, "the file is empty");
	end_stanza(&parser);
	if (parser.stanzas == 0)
		source_fail(file, parser.line, "no stanza in the whole file");
	free(text);
	for (int i = 0; i < FIELDS; i++)
		free(parser.fields[i].value);
}
