/** A Fastify route with nothing around it, in a process of its own: answers GET / with the object that it was sent. */
import Fastify from 'fastify';

process.once('message', (answer) => {
  const app = Fastify();
  app.get('/', () => answer);
  void app.listen({ host: '127.0.0.1', port: 0 }).then((url) => process.send?.(url));
});
process.once('disconnect', () => process.exit());
