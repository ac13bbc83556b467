/* jobs DAEMON NAME work: do jobs until the end of the input.
   jobs DAEMON NAME give: every line of the input is a job; ends when all are done.

   All workers get the same jobs and the same views in the same order, so each knows whose turn it is without asking. A job
   falls to one of those who were there when it came; if he goes before it is done, to the next of them. A job can then be done
   twice: its worker may have gone between doing it and saying so. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sp.h>

#define WORKERS 20
#define JOBS 100

struct job {
    int number; /* 0 if there is none here */
    char giver[MAX_GROUP_NAME], text[200];
    char there[WORKERS][MAX_GROUP_NAME];
    int num_there;
};

static mailbox box;
static char me[MAX_GROUP_NAME];
static struct job jobs[JOBS];
static char members[WORKERS][MAX_GROUP_NAME];
static int num_members;

static int is_member(const char *name)
{
    int member;

    for (member = 0; member < num_members; member++) {
        if (strcmp(members[member], name) == 0) return 1;
    }
    return 0;
}

/* Whether it is my turn: of those who were there when the job came and still are, its number chooses. */
static int is_mine(const struct job *job)
{
    const char *left[WORKERS];
    int number = 0, worker;

    for (worker = 0; worker < job->num_there; worker++) {
        if (is_member(job->there[worker])) left[number++] = job->there[worker];
    }
    return number > 0 && strcmp(left[job->number % number], me) == 0;
}

static void do_mine(void)
{
    char groups[2][MAX_GROUP_NAME] = {"workers"}, done[100];
    struct job *job;

    for (job = jobs; job < jobs + JOBS; job++) {
        if (job->number == 0 || !is_mine(job)) continue;
        printf("did %d %s\n", job->number, job->text);
        fflush(stdout);
        strcpy(groups[1], job->giver);
        sprintf(done, "done %s %d", job->giver, job->number);
        SP_multigroup_multicast(box, AGREED_MESS, 2, (const char(*)[MAX_GROUP_NAME])groups, 0, (int)strlen(done), done);
        job->number = 0;
    }
}

static struct job *find(const char *giver, int number)
{
    struct job *job;

    for (job = jobs; job < jobs + JOBS; job++) {
        if (job->number == number && (number == 0 || strcmp(job->giver, giver) == 0)) return job;
    }
    return NULL;
}

static void on_message(const char *sender, const char *text)
{
    struct job *job;
    char giver[MAX_GROUP_NAME];
    int number, start = 0;

    /* Anybody can send to a group: what is neither of the two is not for us. */
    if (sscanf(text, "job %d %n", &number, &start) == 1 && start > 0 && number > 0 && (job = find(sender, 0)) != NULL) {
        job->number = number;
        strcpy(job->giver, sender);
        strncpy(job->text, text + start, sizeof job->text - 1);
        memcpy(job->there, members, sizeof members);
        job->num_there = num_members;
    } else if (sscanf(text, "done %31s %d", giver, &number) == 2 && (job = find(giver, number)) != NULL) {
        job->number = 0;
    }
}

/* Receives a message as a string, and the names of members or groups with it. */
static service receive(char *sender, char names[][MAX_GROUP_NAME], int *num_names, char *text, int size)
{
    service type = DROP_RECV;
    int16 kind;
    int other_order, length;

    length = SP_receive(box, &type, sender, WORKERS, num_names, names, &kind, &other_order, size - 1, text);
    if (length < 0) {
        SP_error(length);
        exit(1);
    }
    text[length] = '\0';
    return type;
}

static void *await_end(void *unused)
{
    while (getchar() != EOF) continue;
    SP_leave(box, "workers");
    return unused;
}

static void work(void)
{
    char sender[MAX_GROUP_NAME], names[WORKERS][MAX_GROUP_NAME], text[2000];
    int num_names;
    service type;
    pthread_t waiting;

    SP_join(box, "workers");
    pthread_create(&waiting, NULL, await_end, NULL);
    for (;;) {
        type = receive(sender, names, &num_names, text, sizeof text);
        if (Is_regular_mess(type)) {
            on_message(sender, text);
        } else if (Is_self_leave(type)) {
            break;
        } else if (Is_reg_memb_mess(type)) {
            memcpy(members, names, sizeof members);
            num_members = num_names;
        }
        do_mine();
    }
    pthread_join(waiting, NULL);
}

static void give(void)
{
    static char texts[JOBS][200], done[JOBS][MAX_GROUP_NAME];
    char sender[MAX_GROUP_NAME], names[WORKERS][MAX_GROUP_NAME], text[300];
    int count = 0, next, number, num_names;

    while (count < JOBS && fgets(texts[count], sizeof texts[count], stdin) != NULL) {
        texts[count][strcspn(texts[count], "\n")] = '\0';
        sprintf(text, "job %d %s", count + 1, texts[count]);
        SP_multicast(box, AGREED_MESS, "workers", 0, (int)strlen(text), text);
        count++;
    }
    for (next = 0; next < count; next++) {
        while (done[next][0] == '\0') {
            receive(sender, names, &num_names, text, sizeof text);
            if (sscanf(text, "done %*s %d", &number) == 1 && number > 0 && number <= count) {
                strcpy(done[number - 1], sender);
            }
        }
        printf("%s: done by %s\n", texts[next], done[next]);
    }
}

int main(int count, char **arguments)
{
    int result;

    if (count != 4 || (strcmp(arguments[3], "work") != 0 && strcmp(arguments[3], "give") != 0)) return fprintf(stderr, "usage: jobs DAEMON NAME work|give\n"), 2;
    result = SP_connect(arguments[1], arguments[2], 0, 1, &box, me);
    if (result != ACCEPT_SESSION) return SP_error(result), 1;
    if (strcmp(arguments[3], "give") == 0) give();
    else work();
    return SP_disconnect(box);
}
