#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What must not compile does not, and what must compile does: the header in the hands of the compiler.
# usage: tests/test_compile.sh BUILD_DIR
set -u
build=${1:?usage: tests/test_compile.sh BUILD_DIR}
top=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d "$build/compile.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

# try COMPILER STATEMENT: is the statement accepted, in a program that is otherwise right?
try() {
	cat >"$scratch/try.c" <<END
#include <cgc.h>
struct other { cgc_ref(struct other) next; };
struct node { cgc_ref(struct node) next; cgc_ref(struct node) previous; struct node *plain; int number; };
struct list { int length; cgc_ref(struct node) items[]; };
static struct cgc_type node_type = {.name = "node", .size = sizeof(struct node),
	CGC_FIELDS(CGC_FIELD(struct node, next), CGC_FIELD(struct node, previous))};
static struct cgc_type list_type = {.name = "list", .size = sizeof(struct list), .flags = CGC_TRAILING,
	.trailing = CGC_TRAILING_FIELD(struct list, items)};
static cgc_ref(struct node) root;
struct wrong { cgc_ref(struct node) next; int number; struct node *plain; };
void use(struct node *a, struct node *b, struct list *list, struct other *other);
void use(struct node *a, struct node *b, struct list *list, struct other *other)
{
	(void)a; (void)b; (void)list; (void)other; (void)node_type; (void)list_type; (void)root;
	$2
}
END
	"$1" -std=gnu11 -Wall -Wextra -Werror -I"$top/include" -c "$scratch/try.c" -o "$scratch/try.o" \
		>"$scratch/messages" 2>&1
}

accepts() {
	if try "$compiler" "$1"; then
		passed=$((passed + 1))
	else
		echo "not ok: $compiler refuses what is right: $1"
		cat "$scratch/messages"
		failed=$((failed + 1))
	fi
}

refuses() {
	if ! try "$compiler" "$1"; then
		passed=$((passed + 1))
	else
		echo "not ok: $compiler accepts what is wrong: $1"
		failed=$((failed + 1))
	fi
}

seen=
for compiler in "${CC:-gcc}" gcc clang; do
	command -v "$compiler" >/dev/null || continue
	case " $seen " in *" $compiler "*) continue ;; esac
	seen="$seen $compiler"

	accepts ';'
	accepts 'cgc_store(a, &a->next, b);'
	accepts 'cgc_store(a, &a->next, NULL);'
	accepts 'cgc_store(CGC_ROOT, &root, a);'
	accepts 'cgc_store_consume(list, &list->items[3], cgc_retain(a));'
	accepts 'struct node *c = cgc_load(a, &a->next); cgc_release(c);'
	accepts 'struct node *c = cgc_borrow(&root); (void)c;'
	accepts 'struct node *c = cgc_exchange(a, &a->next, b); cgc_release(c);'
	accepts 'if (cgc_compare_exchange(a, &a->next, NULL, b)) cgc_release(b);'
	accepts 'struct node *c = cgc_new(&node_type); cgc_release(c);'
	accepts 'a->plain = b; a->number = 1;'
	accepts 'struct node *c = cgc_cast(list, struct node, &node_type); (void)c;'

	# Plain assignment would lose a count.
	refuses 'a->next = b;'
	refuses 'a->next = NULL;'
	refuses 'a->next = b->next;'
	refuses 'a->next = a->previous;'
	refuses 'root = a->next;'
	refuses 'list->items[0] = list->items[1];'
	refuses 'struct node *c = a->next; (void)c;'
	refuses '*a = *b;'
	refuses 'a->next.cgc__type = b;'
	# Another type than the field's.
	refuses 'cgc_store(a, &a->next, other);'
	refuses 'cgc_store_consume(a, &a->next, list);'
	refuses 'cgc_release(cgc_exchange(a, &a->next, other));'
	refuses 'cgc_compare_exchange(a, &a->next, other, b);'
	refuses 'cgc_compare_exchange(a, &a->next, b, other);'
	refuses 'struct other *c = cgc_load(a, &a->next); cgc_release(c);'
	refuses 'struct other *c = cgc_borrow(&a->next); (void)c;'
	# A field that is none.
	refuses 'cgc_store(a, &a->plain, b);'
	refuses 'static const struct cgc_field field = CGC_FIELD(struct wrong, number); (void)field;'
	refuses 'static const struct cgc_field field = CGC_FIELD(struct wrong, plain); (void)field;'
	refuses 'static const struct cgc_field field = CGC_FIELD(struct wrong, missing); (void)field;'
	refuses 'static const struct cgc_field field = CGC_TRAILING_FIELD(struct list, length); (void)field;'
done

if [ -z "$seen" ]; then
	echo "not ok: no compiler found"
	failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
