/* SPDX-License-Identifier: MIT
 *
 * The word with which weak upgrades and the detector settle the fate of condemned objects, all or nothing and
 * without a lock: PENDING -> COMMITTED by the detector, PENDING -> ABORTED by an upgrade that met a condemned
 * object. Above the two bits, the number of the attempt.
 */
#ifndef CGC_VERDICT_H
#define CGC_VERDICT_H

#include "heap.h"

#define CGC__VERDICT_NONE UINT64_C(0)
#define CGC__VERDICT_PENDING UINT64_C(1)
#define CGC__VERDICT_ABORTED UINT64_C(2)
#define CGC__VERDICT_COMMITTED UINT64_C(3)
#define CGC__VERDICT_STATE(word) ((word)&3)

extern _Atomic(uint64_t) cgc__verdict;

#endif
