/* A library of another make: programs link against it, and nothing of it works. */

int SP_connect(void);
int SP_disconnect(void);
int SP_join(void);
int SP_multicast(void);
int SP_receive(void);
void SP_error(void);

int SP_connect(void) { return -19; }
int SP_disconnect(void) { return -19; }
int SP_join(void) { return -19; }
int SP_multicast(void) { return -19; }
int SP_receive(void) { return -19; }
void SP_error(void) { }
