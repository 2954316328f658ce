from mie_engine.cli import main

main()
