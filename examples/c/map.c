/* map DAEMON NAME REPLICAS: one of so many replicas of a map; the input says `set KEY VALUE`, `get KEY`.

   Every replica applies the same changes in the same order. The rules at the edges:

   - Only a majority may change anything; a minority would invent a second history. It still answers, and says that it may be
     stale.
   - After the transitional signal a change is only certain at those who come along. It waits for the next view, and counts if
     that is a majority.
   - Whoever comes, one replica or a whole partition, is brought up to date before it goes on: one of those who came together
     tells what they have, and everybody takes the longest history. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sp.h>

#define REPLICAS 20
#define PAIRS 100
#define WORD 32
#define TEXT 10000

struct pair {
    char key[WORD], value[WORD];
};

static mailbox box;
static char me[MAX_GROUP_NAME];
static int replicas;

static struct pair values[PAIRS]; /* the map, */
static int num_values, changes;   /* and the length of its history */
static struct pair waiting[PAIRS]; /* changes that came between views, or before everybody was up to date */
static int num_waiting;
static int in_transition;

static int num_members;
static char view[40];                           /* as its messages name it */
static char awaited[REPLICAS][MAX_GROUP_NAME]; /* who is to tell what they have */
static int num_awaited;

/* Whether a text changes the map, and how. What comes from others is checked as what is typed is: nobody knows who sent it. */
static int is_change(const char *text, struct pair *change)
{
    char key[WORD + 1], value[WORD + 1], more[2];

    if (strncmp(text, "set ", 4) != 0 || sscanf(text + 4, "%32s %32s %1s", key, value, more) != 2) return 0;
    if (strlen(key) >= WORD || strlen(value) >= WORD || strchr(key, '=') != NULL) return 0;
    strcpy(change->key, key);
    strcpy(change->value, value);
    return 1;
}

static int has_majority(void)
{
    return 2 * num_members > replicas;
}

static void refuse(void)
{
    printf("refused: only %d of %d replicas are here\n", num_members, replicas);
}

static void send_safe(const char *text)
{
    SP_multicast(box, SAFE_MESS, "map", 0, (int)strlen(text), text);
}

static void set(const char *key, const char *value)
{
    int place = 0;

    while (place < num_values && strcmp(values[place].key, key) != 0) place++;
    if (place == PAIRS) return;
    if (place == num_values) strcpy(values[num_values++].key, key);
    strcpy(values[place].value, value);
}

/* Applies what waits, unless it is not known yet whether it counts. */
static void apply(void)
{
    int change;

    if (in_transition || num_awaited > 0) return;
    for (change = 0; change < num_waiting; change++) {
        printf("%s = %s\n", waiting[change].key, waiting[change].value);
        set(waiting[change].key, waiting[change].value);
        changes++;
    }
    num_waiting = 0;
}

static void on_line(const char *line)
{
    char key[WORD], more[2];
    const char *value = "unset";
    struct pair change;
    int place;

    if (strncmp(line, "get ", 4) != 0 || sscanf(line + 4, "%31s %1s", key, more) != 1) {
        if (!is_change(line, &change)) printf("say: set KEY VALUE, or get KEY; words have 31 characters at most, a key no =\n");
        else if (has_majority()) send_safe(line);
        else refuse();
        return;
    }
    for (place = 0; place < num_values; place++) {
        if (strcmp(values[place].key, key) == 0) value = values[place].value;
    }
    printf("%s is %s%s\n", key, value, has_majority() ? "" : " (may be stale)");
}

static void on_state(const char *sender, int length, const char *pairs)
{
    int place, used;
    char key[WORD], value[WORD];

    for (place = 0; place < num_awaited; place++) {
        if (strcmp(awaited[place], sender) == 0) strcpy(awaited[place], awaited[--num_awaited]);
    }
    if (length <= changes) return;
    num_values = 0;
    for (; sscanf(pairs, " %31[^=]=%31s%n", key, value, &used) == 2; pairs += used) set(key, value);
    changes = length;
    printf("brought up to date: %d changes\n", changes);
}

static void on_message(const char *sender, const char *text)
{
    char word[40];
    struct pair change;
    int length, used = 0;

    if (is_change(text, &change)) {
        if (!has_majority()) refuse(); /* it was sent while there was one */
        else if (num_waiting < PAIRS) waiting[num_waiting++] = change;
    } else if (sscanf(text, "state %39s %d%n", word, &length, &used) == 2 && strcmp(word, view) == 0) {
        on_state(sender, length, text + used);
    }
    apply();
}

static void tell_state(void)
{
    static char text[TEXT];
    int place, length = sprintf(text, "state %s %d", view, changes);

    for (place = 0; place < num_values; place++) {
        length += sprintf(text + length, " %s=%s", values[place].key, values[place].value);
    }
    send_safe(text);
}

/* Somebody came: who tells what those have who came together. Nobody is awaited if nobody came. */
static void await_states(const char *body, service type, char members[][MAX_GROUP_NAME], const membership_info *info)
{
    vs_set_info sets[REPLICAS];
    unsigned int mine;
    int set;

    num_awaited = 0;
    if (Is_caused_join_mess(type) && num_members > 1) {
        strcpy(awaited[num_awaited++], members[strcmp(members[0], info->changed_member) == 0]);
    } else if (Is_caused_network_mess(type) && info->num_vs_sets > 1) {
        num_awaited = SP_get_vs_sets_info(body, sets, REPLICAS, &mine);
        for (set = 0; set < num_awaited; set++) {
            char names[REPLICAS][MAX_GROUP_NAME];

            SP_get_vs_set_members(body, &sets[set], names, REPLICAS);
            strcpy(awaited[set], names[0]);
        }
    }
}

static void on_view(const char *body, service type, char members[][MAX_GROUP_NAME], int count)
{
    membership_info info;
    int place;

    SP_get_memb_info(body, type, &info);
    in_transition = 0;
    num_awaited = 0;
    num_members = count;
    sprintf(view, "%x:%x:%x", (unsigned)info.gid.id[0], (unsigned)info.gid.id[1], (unsigned)info.gid.id[2]);
    if (has_majority()) apply();
    else num_waiting = 0;
    printf("%d of %d replicas\n", num_members, replicas);
    await_states(body, type, members, &info);
    for (place = 0; place < num_awaited; place++) {
        if (strcmp(awaited[place], me) == 0) tell_state();
    }
}

/* Lines come to the replica as messages to itself, so that it does one thing at a time. */
static void *read_input(void *unused)
{
    char line[100];

    while (fgets(line, sizeof line, stdin) != NULL) {
        SP_multicast(box, AGREED_MESS, me, 0, (int)strcspn(line, "\n"), line);
    }
    SP_leave(box, "map");
    return unused;
}

static void run(void)
{
    static char body[TEXT], names[REPLICAS][MAX_GROUP_NAME];
    char sender[MAX_GROUP_NAME];
    int16 kind;
    int num_names, other_order, length;
    service type;

    for (;;) {
        type = DROP_RECV;
        length = SP_receive(box, &type, sender, REPLICAS, &num_names, names, &kind, &other_order, sizeof body - 1, body);
        if (length < 0) {
            SP_error(length);
            exit(1);
        }
        body[length] = '\0';
        if (Is_regular_mess(type)) {
            if (strcmp(sender, me) == 0 && strcmp(names[0], "map") != 0) on_line(body);
            else on_message(sender, body);
        } else if (Is_self_leave(type)) {
            return;
        } else if (Is_transition_mess(type)) {
            printf("the old view breaks\n");
            in_transition = 1;
        } else {
            on_view(body, type, names, num_names);
        }
        fflush(stdout);
    }
}

int main(int count, char **arguments)
{
    pthread_t reading;
    int result;

    if (count != 4 || atoi(arguments[3]) < 1) return fprintf(stderr, "usage: map DAEMON NAME REPLICAS\n"), 2;
    replicas = atoi(arguments[3]);
    result = SP_connect(arguments[1], arguments[2], 0, 1, &box, me);
    if (result != ACCEPT_SESSION) return SP_error(result), 1;
    SP_join(box, "map");
    pthread_create(&reading, NULL, read_input, NULL);
    run();
    pthread_join(reading, NULL);
    return SP_disconnect(box);
}
