@0xd2a6b1c8e4f09735;

interface Tally {
  line @0 (text :Text) -> (lines :UInt64);
}
