/* SPDX-License-Identifier: MIT
 *
 * Programs: from a seed, from bytes, as bytes, as text.
 */
#include "program.h"

#include <stdlib.h>
#include <string.h>

#include "world.h"

#define WEIGHT(name, weight, text) weight,
#define TEXT(name, weight, text) text,
static const uint8_t weights[CODES] = {OPERATIONS(WEIGHT)};
#define SUM(name, weight, text) +weight
_Static_assert(0 OPERATIONS(SUM) == 256, "a byte chooses among the operations");
static const char *const texts[CODES] = {OPERATIONS(TEXT)};

static const char *const kind_names[KINDS] = {
	[NODE] = "node",
	[NODE_SEEN] = "node with destroy",
	[ROW] = "row with destroy",
	[LEAF] = "leaf",
	[LEAF_SEEN] = "leaf with destroy",
	[ACYCLIC] = "acyclic",
	[ACYCLIC_SEEN] = "acyclic with destroy",
	[FINAL] = "node with finalizer",
	[FINAL_ROW] = "row with finalizer",
	[FINAL_LEAF] = "leaf with finalizer",
};

/* CGC_OPTIONS wins over these. */
const char *program_options(unsigned number)
{
	static const char *const options[OPTION_SETS] = {
		"poison=1",
		"poison=1,eager=1,suspects=1",
		"poison=1,pending=1,suspects=1,eager=1,yield=3",
		"poison=1,threshold0=1,threshold1=1,threshold2=1",
		"poison=1,collect=1,pending=4",
		"poison=1,collect=2,eager=1,suspects=1,yield=7",
		"debug=1,threshold0=3,pending=1",
		"debug=1,collect=1,eager=1,suspects=1,pending=1,chunk=1,yield=2",
		"poison=1,yield=1,eager=1,suspects=1,pending=2,chunk=2",
		"poison=1,threshold0=20,threshold1=3,eager=1,suspects=4,pending=8",
		"poison=1,eager=1,pending=1,chunk=1,suspects=1",
		"poison=1,yield=13,pending=3,chunk=3",
	};
	return options[number % OPTION_SETS];
}

static uint8_t code_of_byte(uint8_t byte)
{
	unsigned code = 0;
	for (unsigned sum = weights[0]; sum <= byte; sum += weights[++code])
		;
	return (uint8_t)code;
}

static uint8_t byte_of_code(uint8_t code)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < code; i++)
		sum += weights[i];
	return (uint8_t)sum;
}

static void allocate(struct program *program, size_t count)
{
	program->ops = calloc(count + 1, sizeof(*program->ops));
	if (program->ops == NULL) {
		fprintf(stderr, "fuzz: out of memory\n");
		exit(1);
	}
	program->count = count;
}

/* Not every program has all operations and kinds: what is rare in a mixture is frequent without the rest (swarm
 * testing: Groce, Zhang, Eide, Chen, Regehr, ISSTA 2012). */
void program_generate(struct program *program, uint64_t seed, unsigned threads, size_t count, bool together)
{
	uint64_t random = mix(seed + UINT64_C(0x9e3779b97f4a7c15));
	*program = (struct program){.seed = seed, .together = together};
	program->threads = threads != 0 ? threads : (unsigned)(together ? 2 + random % 3 : 1 + random % 6 / 2);
	program->options = (unsigned)(mix(random ^ 1) % OPTION_SETS);
	allocate(program, count);
	uint64_t left_out = mix(random ^ 2) & mix(random ^ 3) & ~(UINT64_C(1) << NEW | UINT64_C(1) << QUIET);
	uint64_t kinds = mix(random ^ 4) | mix(random ^ 5);
	if ((kinds & ((1u << KINDS) - 1)) == 0)
		kinds = 1u << NODE;
	uint8_t thread = 0;
	for (size_t i = 0; i < count;) {
		random += UINT64_C(0x9e3779b97f4a7c15);
		uint64_t bits = mix(random), more = mix(random ^ UINT64_C(0x5555555555555555));
		struct op *op = &program->ops[i];
		op->code = code_of_byte((uint8_t)bits);
		if ((left_out >> op->code & 1) != 0)
			continue;
		/* Runs of one thread: a switch costs more than an operation. */
		if (together || (more & 15) == 0)
			thread = (uint8_t)((more >> 8) % program->threads);
		op->thread = thread;
		op->a = (uint8_t)(bits >> 8);
		op->b = (uint8_t)(bits >> 16);
		op->c = (uint8_t)(bits >> 24);
		op->d = (uint8_t)(bits >> 32);
		if (op->code == QUIET && together && (more >> 20) % 8 != 0)
			continue;
		if (op->code == NEW || op->code == RING || op->code == STORM || op->code == CAROUSEL)
			while ((kinds >> op->b % KINDS & 1) == 0)
				op->b++;
		i++;
	}
}

void program_read(struct program *program, const uint8_t *bytes, size_t length)
{
	size_t count = length > 2 ? (length - 2) / 6 : 0;
	*program = (struct program){.threads = 1, .options = 0};
	allocate(program, count);
	if (length >= 2) {
		program->together = (bytes[0] & 0x80) != 0;
		program->threads = 1 + bytes[0] % (program->together ? THREADS_MAX : 3);
		program->options = bytes[1] % OPTION_SETS;
	}
	for (size_t i = 0; i < count; i++) {
		const uint8_t *op = &bytes[2 + 6 * i];
		program->ops[i] = (struct op){
			code_of_byte(op[0]), (uint8_t)(op[1] % program->threads), op[2], op[3], op[4], op[5]};
	}
}

void program_write(const struct program *program, FILE *file)
{
	fputc((int)((program->together ? 0x80 : 0) | (program->threads - 1)), file);
	fputc((int)program->options, file);
	for (size_t i = 0; i < program->count; i++) {
		const struct op *op = &program->ops[i];
		const uint8_t bytes[6] = {byte_of_code(op->code), op->thread, op->a, op->b, op->c, op->d};
		fwrite(bytes, 1, sizeof(bytes), file);
	}
}

static void print_operand(const struct op *op, char letter, FILE *file)
{
	static const char *const weak[] = {"no callback", "callback", "callback, frees itself", "witness"};
	switch (letter) {
	case 'a':
		fprintf(file, "%u",
		        op->code == KEEP                                 ? op->a % BORROWED
		        : op->code == WEAK_LOAD || op->code == WEAK_FREE ? op->a % WEAKS
		                                                         : op->a % HANDS);
		break;
	case 'b':
		fprintf(file, "%u",
		        op->code == SEND       ? op->b % MAILBOXES
		        : op->code == BORROW   ? op->b % BORROWED
		        : op->code == WEAK_NEW ? op->b % WEAKS
		        : op->code == SETTING  ? op->b
		                               : op->b % HANDS);
		break;
	case 'c':
		fprintf(file, "%u", op->c);
		break;
	case 'd':
		fprintf(file, "%u", op->d);
		break;
	case 'k':
		fprintf(file, "%s (%u)", kind_names[op->b % KINDS], op->c);
		break;
	case 'n':
		fprintf(file, "%u", op->code == STORM ? 1u + op->d % 16 : 1u + op->d % 6);
		break;
	case 'g':
		fprintf(file, "%u", op->a % 2);
		break;
	case 't':
		fputs(op->c % 2 == 0 ? "transferred" : "published", file);
		break;
	case 'w':
		fputs(weak[op->c % 4], file);
		break;
	case 'e':
		fputs(op->d >= 0xc0 ? "something else" : "what it holds", file);
		break;
	case 'v':
		if (op->d % 8 == 0)
			fputs("NULL", file);
		else if (op->d % 8 == 1)
			fprintf(file, "immediate %u", op->b);
		else
			fprintf(file, "h%u", op->b % HANDS);
		break;
	case 'p':
		if ((op->a & 0x80) != 0 || op->code == STORM)
			fprintf(file, "root%u", op->c % ROOTS);
		else if ((op->a & 0x70) == 0x40)
			fprintf(file, "b%u.%u", op->a % BORROWED, op->c);
		else
			fprintf(file, "h%u.%u", op->a % HANDS, op->c);
		break;
	}
}

void program_print(const struct program *program, FILE *file)
{
	fprintf(file, "%u threads, %s, options %s; a slot's number is modulo the slots of its object\n",
	        program->threads, program->together ? "together" : "one operation after the other",
	        program_options(program->options));
	for (size_t i = 0; i < program->count; i++) {
		const struct op *op = &program->ops[i];
		fprintf(file, "  T%u: ", op->thread);
		for (const char *text = texts[op->code]; *text != '\0'; text++)
			if (*text == '$')
				print_operand(op, *++text, file);
			else
				fputc(*text, file);
		fputc('\n', file);
	}
}

void program_free(struct program *program)
{
	free(program->ops);
	program->ops = NULL;
}
