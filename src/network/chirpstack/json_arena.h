/*
 * json_arena.h - memory for one JSON document at a time, given back at once.
 *
 * An event becomes a tree of some 150 small blocks, and most of its parsing went into their
 * allocation. cJSON's hooks are the program's: outside of an event they are malloc() and free().
 * For the thread of the loop alone.
 */
#ifndef CHIRPSTACK_JSON_ARENA_H
#define CHIRPSTACK_JSON_ARENA_H

/* From here on cJSON's blocks come from the arena, and what exceeds it from the heap. */
void json_arena_begin(void);
/* The document is deleted already. */
void json_arena_end(void);

#endif
